"""What networks that recover pictures begin with."""
from __future__ import annotations

from collections.abc import Sequence

from mmppvit.attacks.attacker import Budget, Pair
from mmppvit.attacks.poisson import PoissonThumbnail
from mmppvit.attacks.thumbnail import ThumbnailAttacker, upsample_means
from mmppvit.encryption import LEARNED, Scheme

import cv2
import numpy as np

__all__ = ['Starter']


class Starter:
    """The picture that networks begin with: the best that needs no network.

    Of mixed pictures in order that is the thumbnail, integrated where centering took the means; of
    others in order the encrypted picture, resized, and blurred where noise was added; of shuffled
    ones the mean colour. What a trained network protected looks like nothing plain: after
    :meth:`fit` it is the colours that are foretold from the protected ones.

    Args:
        scheme (Scheme): Of the pictures.
        ordered (bool): Whether their patches are in order; by default as the scheme has it.
    """

    def __init__(self, scheme: Scheme, ordered: bool | None = None) -> None:
        self.scheme = scheme
        self.ordered = not scheme.shuffles if ordered is None else ordered
        gone = scheme.centers and scheme.center_strength == 1
        self._means = PoissonThumbnail(scheme) if gone else ThumbnailAttacker(scheme)
        self._colours: np.ndarray | None = None

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Learn from pairs how to integrate, or which colours became which; of pairs in order."""
        if self.scheme.name == LEARNED:
            self._colours = _fit_colours(pairs)
        elif self.ordered:
            self._means.fit(pairs, Budget())

    def __call__(self, encrypted: np.ndarray) -> np.ndarray:
        """uint8 (h, w, 3) -> float32 (H, W, 3) of range 255."""
        height, width = (extent * self.scheme.grid for extent in encrypted.shape[:2])
        if not self.ordered:
            mean = encrypted.mean((0, 1), dtype=np.float32)
            return np.broadcast_to(mean, (height, width, 3))
        if self.scheme.mixes:
            return upsample_means(self._means.means(encrypted), self.scheme.patch_size)
        if self._colours is not None:
            foretold = _colour_terms(encrypted) @ self._colours
            return np.clip(foretold, 0, 255).astype(np.float32)
        up = cv2.resize(encrypted, (width, height), interpolation=cv2.INTER_CUBIC)
        if self.scheme.name == 'noise':
            # A bell of this width leaves 5 levels of white noise.
            up = cv2.GaussianBlur(up, (0, 0), max(self.scheme.strength / (2 * np.pi**.5 * 5), .1))
        return up.astype(np.float32)


def _fit_colours(pairs: Sequence[Pair], pixels: int = 4000) -> np.ndarray:
    """Least squares from :func:`_colour_terms` to plain colours, float64 (terms, 3)."""
    rng = np.random.default_rng(0)
    terms, colours = [], []
    for pair in pairs:
        chosen = rng.integers(pair.plain.shape[0] * pair.plain.shape[1], size=pixels)
        terms.append(_colour_terms(pair.encrypted).reshape(-1, 19)[chosen])
        colours.append(pair.plain.reshape(-1, 3)[chosen])
    terms, colours = np.concatenate(terms), np.concatenate(colours).astype(np.float64)
    # Where a term is constant, or two are equal, any of the solutions will do.
    damped = terms.T @ terms + 1e-6 * len(terms) * np.eye(terms.shape[1])
    return np.linalg.solve(damped, terms.T @ colours)


def _colour_terms(protected: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) -> float64 (H, W, 19): local colours at three widths, and their squares."""
    img = protected.astype(np.float32) / 127.5 - 1
    local = np.concatenate([cv2.GaussianBlur(img, (0, 0), sigma) for sigma in (1, 3, 9)], 2)
    return np.concatenate([local, local**2, np.ones_like(local[..., :1])], 2, dtype=np.float64)
