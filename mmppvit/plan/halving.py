"""Successive halving: who goes on after the first third of the budget."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ['Standing', 'first_part', 'order_of_merit', 'survivors']


@dataclass(frozen=True)
class Standing:
    """A candidate after the first part.

    Args:
        name (str): Its label.
        map (float): Mean mAP over the seeds.
        hidden (float): How much the scheme hides; more is better.
        plain (bool): Whether it is plain images, which always go on.
    """
    name: str
    map: float
    hidden: float
    plain: bool = False


def first_part(epochs: int) -> int:
    """A third of the epochs, rounded up."""
    return math.ceil(epochs / 3)


def order_of_merit(standings: Iterable[Standing]) -> list[Standing]:
    """Best first: those that no other beats in both, then those that only these beat, and so on.

    One beats another if it has at least its mAP and hides at least as much, and one of them more.
    Among those of a kind, more mAP comes first.
    """
    left, order = list(standings), []
    while left:
        front = [one for one in left if not any(_beats(other, one) for other in left)]
        order += sorted(front, key=lambda one: (-one.map, -one.hidden, one.name))
        left = [one for one in left if one not in front]
    return order


def _beats(one: Standing, other: Standing) -> bool:
    return (one.map >= other.map and one.hidden >= other.hidden
            and (one.map, one.hidden) != (other.map, other.hidden))


def survivors(standings: Sequence[Standing]) -> set[str]:
    """Names of plain images and of the better half of the others, rounded up."""
    others = order_of_merit(one for one in standings if not one.plain)
    kept = others[:math.ceil(len(others) / 2)]
    return {one.name for one in [*(one for one in standings if one.plain), *kept]}
