"""Known scene: another photograph of the same view gives the permutation of a sealed image away.

A fixed camera, an earlier frame, a near-duplicate on the web: the attacker encrypts what it has
with the public steps of the scheme and assigns its patches to those of the sealed image. Two sealed
frames of one camera are matched with each other in the same way, without any plain image.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from mmppvit.encryption import Scheme, split_patches, unshuffle_patches

__all__ = ['KnownScene', 'SceneMatch', 'match_frames', 'match_scene', 'photograph_again']


def photograph_again(img: np.ndarray, gain: float = 1.1, offset: float = 4., noise: float = 4.,
                     quality: int = 75, shift: tuple[int, int] = (0, 0), seed: int = 0
                     ) -> np.ndarray:
    """Simulate a second photograph of the view that ``img`` shows.

    Args:
        img (ndarray): uint8 (H, W, 3).
        gain (float): Factor of the exposure.
        offset (float): Levels added after it.
        noise (float): Standard deviation of the sensor's noise in levels.
        quality (int): Of the JPEG file, 1 to 100; 0 for none.
        shift (tuple[int, int]): The camera moved by (dy, dx) pixels; the border is repeated.
        seed (int): Of the noise.

    Returns:
        ndarray: uint8, of the same shape.
    """
    rng = np.random.default_rng(seed)
    moved = _shifted(img, shift).astype(np.float32)
    out = np.clip(gain * moved + offset + noise * rng.standard_normal(img.shape), 0, 255)
    out = np.rint(out).astype(np.uint8)
    if quality:
        out = cv2.imdecode(
            cv2.imencode('.jpg', out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return out


def _shifted(img: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    rows = np.clip(np.arange(img.shape[0]) - shift[0], 0, img.shape[0] - 1)
    cols = np.clip(np.arange(img.shape[1]) - shift[1], 0, img.shape[1] - 1)
    return img[rows[:, None], cols]


@dataclass(frozen=True)
class SceneMatch:
    """A permutation found by :func:`match_scene`.

    ``order``: int64 (N, ), place k holds patch ``order[k]``. ``cost``: mean squared distance of a
    place to its patch, in variances of the images; comparable between scenes of one sealed image.
    ``shift``: (dy, dx) in plain pixels by which the scene fits best.
    """
    order: np.ndarray
    cost: float
    shift: tuple[int, int] = (0, 0)


def match_scene(scheme: Scheme, encrypted: np.ndarray, scene: np.ndarray, reach: int = 0
                ) -> SceneMatch:
    """Find the permutation of ``encrypted`` from another photograph of its view.

    Args:
        scheme (Scheme): How ``encrypted`` was made; the attacker knows everything but the key.
        encrypted (ndarray): uint8 (h, w, 3), shuffled.
        scene (ndarray): uint8 (H, W, 3), a photograph of the size of the plain image.
        reach (int): The attacker tries all shifts of the camera of up to this many pixels.

    Raises:
        ValueError: The scene would be of another size when encrypted.
    """
    places = _vectors(encrypted, scheme.side)
    best: tuple[float, tuple[int, int], np.ndarray] | None = None
    for shift in _shifts(reach):
        known = scheme.in_order(_shifted(scene, shift))
        if known.shape != encrypted.shape:
            raise ValueError(f'the scene would be of shape {known.shape} when encrypted, and the '
                             f'image is of shape {encrypted.shape}')
        distances = _distances(places, _vectors(known, scheme.side))
        # The assignment of least cost cannot be better than every place's own nearest patch.
        bound = float(distances.min(1).mean())
        if best is None or bound < best[0]:
            best = bound, shift, distances
    rows, order = linear_sum_assignment(_robust(best[2]))
    return SceneMatch(order.astype(np.int64), float(best[2][rows, order].mean()), best[1])


def match_frames(scheme: Scheme, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Match the patches of two sealed frames of one camera, without any plain image.

    Args:
        scheme (Scheme): Of both frames.
        first (ndarray): uint8 (h, w, 3), shuffled.
        second (ndarray): The other one, of the same shape and under another permutation.

    Returns:
        ndarray: int64 (N, ): place k of ``second`` shows what place ``match[k]`` of ``first`` does.
    """
    distances = _distances(_vectors(second, scheme.side), _vectors(first, scheme.side))
    return linear_sum_assignment(_robust(distances))[1].astype(np.int64)


def _shifts(reach: int) -> Iterator[tuple[int, int]]:
    steps = range(-reach, reach + 1)
    yield from sorted(((dy, dx) for dy in steps for dx in steps),
                      key=lambda shift: abs(shift[0]) + abs(shift[1]))


def _vectors(img: np.ndarray, side: int) -> np.ndarray:
    """float32 (N, side * side * C) of mean 0 and deviation 1 over the image: exposures differ."""
    patches = split_patches(img, side)
    vectors = patches.reshape(patches.shape[0] * patches.shape[1], -1).astype(np.float32)
    vectors -= vectors.mean()
    return vectors / max(float(vectors.std()), 1e-6)


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean squared difference of any two rows; 4 N^2 bytes, 71 MB for 4,200 patches."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)
    return np.maximum(squares - 2 * one @ other.T, 0) / one.shape[1]  # rounding may go below 0


def _robust(distances: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of a heavy-tailed (Cauchy) error, up to a constant.

    Patches that have no counterpart, such as those of an object that moved, would otherwise push
    many similar ones out of place to lower their own large distance a little.
    """
    return np.log1p(distances / max(float(np.median(distances.min(1))), 1e-6))


class KnownScene(Attacker):
    """Has a photograph of the view of every victim, and finds out which belongs to which.

    ``fit`` gets the photographs as ``Pair.plain``. Among those of the victim's size the one that
    fits best is taken.
    """
    name = 'known-scene'
    title = 'patches assigned to those of another photograph of the same view'
    needs = 'another photograph of the same view, as of a fixed camera, or a near-duplicate'
    learns_from = 'scenes'
    reach = 2

    def __init__(self, scheme: Scheme, seed: int = 0) -> None:
        super().__init__(scheme, seed)
        self.scenes: list[np.ndarray] = []

    @classmethod
    def not_for(cls, scheme: Scheme) -> str | None:
        return None if scheme.shuffles else 'nothing is shuffled'

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        if budget.exhausted:
            raise BudgetExceeded('no time to look at the photographs')
        self.scenes = [pair.plain for pair in pairs]

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        """The permutation of the scene that fits best; a random one where no scene has the size."""
        side, grid = self.scheme.side, self.scheme.grid
        size = encrypted.shape[0] * grid, encrypted.shape[1] * grid
        fitting = [scene for scene in self.scenes if scene.shape[:2] == size]
        if fitting:
            scene = min(fitting, key=lambda scene: self._bound(encrypted, scene))
            order = match_scene(self.scheme, encrypted, scene, self.reach).order
        else:
            count = encrypted.shape[0] // side * (encrypted.shape[1] // side)
            order = np.random.default_rng(self.seed).permutation(count)
        img = unshuffle_patches(encrypted, side, order)
        return Reconstruction(cv2.resize(img, size[::-1], interpolation=cv2.INTER_CUBIC), order)

    def _bound(self, encrypted: np.ndarray, scene: np.ndarray) -> float:
        """What the assignment costs at least: enough to tell scenes apart, and fast."""
        known = self.scheme.in_order(scene)
        return float(_distances(_vectors(encrypted, self.scheme.side),
                                _vectors(known, self.scheme.side)).min(1).mean())
