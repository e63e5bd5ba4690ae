"""What networks that reconstruct images begin with."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mmppvit.attacks.attackers.interface import Budget, Pair
from mmppvit.attacks.attackers.poisson import PoissonThumbnail
from mmppvit.attacks.attackers.thumbnail import ThumbnailAttacker, upsample_means
from mmppvit.encryption import Scheme

__all__ = ['InitialImage']


class InitialImage:
    """The image that networks begin with: the best that needs no network.

    Of mixed images in order that is the thumbnail, integrated where centering took the means; of
    others in order the encrypted image, resized, and blurred where noise was added; of shuffled
    ones the mean color. What a trained network protected looks like nothing plain: after
    :meth:`fit` it is the colors that are predicted from the protected ones.

    Args:
        scheme (Scheme): Of the images.
        ordered (bool): Whether their patches are in order; by default as the scheme has it.
    """

    def __init__(self, scheme: Scheme, ordered: bool | None = None) -> None:
        self.scheme = scheme
        self.ordered = not scheme.shuffles if ordered is None else ordered
        gone = scheme.centers and scheme.center_strength == 1
        self._means = PoissonThumbnail(scheme) if gone else ThumbnailAttacker(scheme)
        self._colors: np.ndarray | None = None

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Learn from pairs how to integrate, or which colors became which; of pairs in order."""
        if self.scheme.needs_protector:
            self._colors = _fit_colors(pairs)
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
        if self._colors is not None:
            predicted = _color_terms(encrypted) @ self._colors
            return np.clip(predicted, 0, 255).astype(np.float32)
        up = cv2.resize(encrypted, (width, height), interpolation=cv2.INTER_CUBIC)
        if self.scheme.noisy:
            # A bell of this width leaves 5 levels of white noise.
            up = cv2.GaussianBlur(up, (0, 0), max(self.scheme.strength / (2 * np.pi**.5 * 5), .1))
        return up.astype(np.float32)


def _fit_colors(pairs: Sequence[Pair], pixels: int = 4000) -> np.ndarray:
    """Least squares from :func:`_color_terms` to plain colors, float64 (terms, 3)."""
    rng = np.random.default_rng(0)
    terms, colors = [], []
    for pair in pairs:
        chosen = rng.integers(pair.plain.shape[0] * pair.plain.shape[1], size=pixels)
        terms.append(_color_terms(pair.encrypted).reshape(-1, 19)[chosen])
        colors.append(pair.plain.reshape(-1, 3)[chosen])
    terms, colors = np.concatenate(terms), np.concatenate(colors).astype(np.float64)
    # Where a term is constant, or two are equal, any of the solutions will do.
    damped = terms.T @ terms + 1e-6 * len(terms) * np.eye(terms.shape[1])
    return np.linalg.solve(damped, terms.T @ colors)


def _color_terms(protected: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) -> float64 (H, W, 19): local colors at three widths, and their squares."""
    img = protected.astype(np.float32) / 127.5 - 1
    local = np.concatenate([cv2.GaussianBlur(img, (0, 0), sigma) for sigma in (1, 3, 9)], 2)
    return np.concatenate([local, local**2, np.ones_like(local[..., :1])], 2, dtype=np.float64)
