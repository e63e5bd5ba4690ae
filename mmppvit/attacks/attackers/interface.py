"""What every attacker is given, and what it gives back."""
from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmppvit.encryption import Scheme

__all__ = ['Attacker', 'Budget', 'BudgetExceeded', 'Pair', 'Reconstruction']


class BudgetExceeded(RuntimeError):  # noqa: N818, a state rather than a fault
    """An attacker used up its time before it had anything to show."""


@dataclass(frozen=True)
class Pair:
    """An image before and after.

    Args:
        name (str): Of the plain file, relative to its folder.
        encrypted (ndarray): uint8 (h, w, 3), BGR, as the sealed file holds it.
        plain (ndarray): uint8 (H, W, 3), BGR, rescaled and padded as it was before encryption.
        order (ndarray, optional): int64 (N, ), place k of ``encrypted`` holds patch ``order[k]``.
            Known for images that the attacker encrypted; of victims only the score sees it.
    """
    name: str
    encrypted: np.ndarray
    plain: np.ndarray
    order: np.ndarray | None = None


@dataclass(frozen=True)
class Reconstruction:
    """What an attacker makes of one encrypted image.

    Args:
        img (ndarray): uint8 (H, W, 3), BGR, in the frame of ``Pair.plain``.
        order (ndarray, optional): int64 (N, ): where it believes the patches belong, in the
            convention of ``Pair.order``.
    """
    img: np.ndarray
    order: np.ndarray | None = None


class Budget:
    """Time that an attacker may use.

    Args:
        seconds (float): From now on; infinity for no limit, 0 is used up at once.
    """

    def __init__(self, seconds: float = float('inf')) -> None:
        self.seconds = seconds
        self._start = time.monotonic()

    @property
    def share_used(self) -> float:
        """0 at the start, 1 and more when the time is up; schedules of learners follow it."""
        return (time.monotonic() - self._start) / self.seconds if self.seconds > 0 else 1.

    @property
    def exhausted(self) -> bool:
        return self.share_used >= 1

    def part(self, share: float) -> Budget:
        """A budget of ``share`` of what is left."""
        left = max(self.seconds * (1 - self.share_used), 0.) if np.isfinite(self.seconds) \
            else self.seconds
        return Budget(left * share)


class Attacker(ABC):
    """Knows the scheme and its parameters, and never the key.

    Subclasses set ``name`` (short, for tables), ``title`` (one line for the report), ``needs``
    (what the attacker has to have beyond the sealed images, in words), and ``learns_from``:
    'own' images that it encrypted with keys of its own, 'known' ones of the owner, which it has in
    plain as well, or 'scenes', other photographs of the victims' views. ``fit`` sets ``error``
    where more time may help: the error of what was learned, on images held out or by the latest
    steps; lower is better, and values of two runs can be compared.

    Args:
        scheme (Scheme): How the images were encrypted.
        seed (int): Of all random draws.
    """
    name: str
    title: str
    needs: str = 'the sealed images alone'
    learns_from: str = 'own'
    error: float | None = None

    def __init__(self, scheme: Scheme, seed: int = 0) -> None:
        self.scheme = scheme
        self.seed = seed

    @classmethod
    def not_for(cls, scheme: Scheme) -> str | None:
        """Why this attack has no meaning against ``scheme``; None if it has."""
        return None

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:  # noqa: B027, most learn
        """Learn from images of which the attacker has both sides, see ``learns_from``.

        Args:
            pairs (Sequence[Pair]): None of a victim; of 'scenes' only ``plain`` may be used.
            budget (Budget): Stop learning when it is used up, with what was learned so far.

        Raises:
            BudgetExceeded: It is used up, and nothing was learned.
        """

    def allow_steps(self, times: float) -> None:
        """Let it learn so many times as long where it has a limit of steps, too."""
        for limit in ('max_steps', 'fit_steps'):
            if hasattr(self, limit):
                setattr(self, limit, round(getattr(self, limit) * times))

    @abstractmethod
    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        """Attack one image: uint8 (h, w, 3), BGR, h and w multiples of ``scheme.side``."""
