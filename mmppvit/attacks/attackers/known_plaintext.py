"""Known plaintext: images in plain and sealed give away an order that is used again."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from mmppvit.attacks.attackers.interface import (
    Attacker,
    Budget,
    BudgetExceeded,
    Pair,
    Reconstruction,
)
from mmppvit.encryption import (
    MIDDLE_LEVEL,
    Key,
    Scheme,
    blank_patches,
    shuffle_patches,
    split_patches,
    unshuffle_patches,
)

__all__ = ['KnownPlaintext', 'OrderScore', 'attack_orders', 'find_order', 'share_in_place']


def find_order(scheme: Scheme, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The order that ``pairs`` were shuffled in, if it was one order.

    The attacker knows the scheme, so it encrypts the plain images without shuffling them, sums
    the squared differences of every patch with every place over the pairs, and takes the
    assignment of least sum: a place holds what looks like it in all of the pairs. It works with
    plain images that were compressed in between as well. Places that were blanked in all pairs
    say nothing, and get what is left.

    Args:
        scheme (Scheme): One that shuffles.
        pairs (Sequence[tuple]): (plain, encrypted), uint8, all of one size: (H, W, 3) before
            padding, and the sealed image of it.

    Returns:
        ndarray: int64 (N, ); place k holds patch ``order[k]``.

    Raises:
        ValueError: There is no pair, or a pair does not have one size.
    """
    if not pairs:
        raise ValueError('an order is found from one pair at least')
    cost, blank = 0., True
    for plain, encrypted in pairs:
        known = scheme.in_order(plain)
        if known.shape != encrypted.shape:
            raise ValueError(f'the plain image would be of shape {known.shape} when encrypted, '
                             f'and its pair is of shape {encrypted.shape}')
        patches, places = (_vectors(img, scheme.side) for img in (known, encrypted))
        cost = cost + _squared_distances(places, patches)
        blank &= (places == MIDDLE_LEVEL).all(1)
    if scheme.drop:
        cost[blank] = 0.
    return linear_sum_assignment(cost)[1].astype(np.int64)


def _vectors(img: np.ndarray, side: int) -> np.ndarray:
    """(N, side * side * C), float64: whole numbers, so that equal patches are at distance 0."""
    patches = split_patches(img, side)
    return patches.reshape(patches.shape[0] * patches.shape[1], -1).astype(np.float64)


def _squared_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)
    return squares - 2 * one @ other.T


def share_in_place(order: np.ndarray, found: np.ndarray) -> float:
    """Share of the places whose patch was found; 1 / N is the mean of guessing.

    Equal patches that were confused with each other count as wrong.
    """
    return float((np.asarray(order) == np.asarray(found)).mean())


# --- does it work, and against what --------------------------------------------------------------


@dataclass(frozen=True)
class OrderScore:
    """How well orders were found.

    Args:
        shares (tuple[float, ...]): Of each victim, the share of its patches put right.
        chance (float): What guessing gives, 1 / N.
    """
    shares: tuple[float, ...]
    chance: float

    @property
    def mean(self) -> float:
        return float(np.mean(self.shares))


def attack_orders(scheme: Scheme, images: Sequence[np.ndarray], key: Key, known: int = 2,
                  reuse: bool = False) -> OrderScore:
    """Give the attacker the first ``known`` images in plain, and score it on the others.

    Args:
        scheme (Scheme): One that shuffles.
        images (Sequence[ndarray]): uint8 (H, W, 3), all of one size.
        key (Key): Of the owner.
        known (int): Pairs that the attacker has, at least 1.
        reuse (bool): Shuffle all images in one order, as this package never does, to see that
            the attack works; else each under a sub-key of its own, as it is sealed.

    Raises:
        ValueError: The scheme does not shuffle, or no image is left to attack.
    """
    if not scheme.shuffles:
        raise ValueError(f'scheme {scheme.name} does not shuffle, so there is no order to find')
    if not 0 < known < len(images):
        raise ValueError(f'{known} of {len(images)} images cannot be known and one be left')
    encrypt = _shared_order(scheme, key) if reuse else \
        lambda i, img: scheme.encrypt(img, key, f'images/{i}.png')[:2]
    sealed = [encrypt(i, img) for i, img in enumerate(images)]
    found = find_order(scheme, [(images[i], sealed[i][0]) for i in range(known)])
    return OrderScore(tuple(share_in_place(order, found) for _, order in sealed[known:]),
                      1 / len(found))


def _shared_order(scheme: Scheme, key: Key):
    """A function like ``Scheme.encrypt``, but for an order that knows neither id nor nonce."""

    def encrypt(_: int, img: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        img = scheme.in_order(img)
        order = scheme.order(key, '', bytes(16), img.shape)
        img = blank_patches(img, scheme.side, order[:int(scheme.drop * len(order))])
        return shuffle_patches(img, scheme.side, order), order

    return encrypt


# --- as an attacker like the others --------------------------------------------------------------


class KnownPlaintext(Attacker):
    """Learns one order of each size from its pairs, and puts every image back by it.

    The pairs of :meth:`fit` have to be of the owner, sealed under the owner's key: from pairs of
    the attacker's own key there is nothing to learn. Against sub-keys it fails either way.
    """
    name = 'known-plaintext'
    title = 'the order of known images, tried on the others'
    needs = 'some of the images in plain as well'
    learns_from = 'known'

    def __init__(self, scheme: Scheme, seed: int = 0) -> None:
        super().__init__(scheme, seed)
        self.orders: dict[tuple[int, int], np.ndarray] = {}

    @classmethod
    def not_for(cls, scheme: Scheme) -> str | None:
        return None if scheme.shuffles else 'nothing is shuffled'

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        by_size: dict[tuple[int, int], list] = {}
        for pair in pairs:
            by_size.setdefault(pair.encrypted.shape[:2], []).append((pair.plain, pair.encrypted))
        for size, known in sorted(by_size.items(), key=lambda item: -len(item[1])):
            if budget.exhausted:
                break
            self.orders[size] = find_order(self.scheme, known)
        if pairs and not self.orders:
            raise BudgetExceeded('the time was up before the first order was found')

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        """The image in the order learned for its size, or one drawn at random for others."""
        height, width = (length // self.scheme.side for length in encrypted.shape[:2])
        order = self.orders.get(encrypted.shape[:2])
        if order is None:
            order = np.random.default_rng(self.seed).permutation(height * width)
        img = unshuffle_patches(encrypted, self.scheme.side, order)
        size = width * self.scheme.patch_size, height * self.scheme.patch_size
        return Reconstruction(cv2.resize(img, size, interpolation=cv2.INTER_CUBIC), order)
