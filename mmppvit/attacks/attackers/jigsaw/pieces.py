"""The pieces of a jigsaw puzzle: what of each encrypted patch an attacker has to go by."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mmppvit.encryption import CONTRAST, CONTRAST_FLOOR, MIDDLE_LEVEL, Scheme, split_patches

__all__ = ['Pieces', 'cut_pieces', 'undo_centering']


class Pieces(NamedTuple):
    """Patches of one encrypted image, in the order in which it has them.

    ``inner``: float32 (N, s, s, C), without the eroded border, centering and gain undone as far as
    they can be. ``blank``: bool (N, ), those that show nothing, as they were dropped. ``shape``:
    rows and columns of the image. ``gap``: pixels that are missing between two neighbors.
    """
    inner: np.ndarray
    blank: np.ndarray
    shape: tuple[int, int]
    gap: int


def cut_pieces(encrypted: np.ndarray, scheme: Scheme) -> Pieces:
    """Pieces of ``encrypted``, uint8 (h, w, C), sides multiples of ``scheme.side``."""
    patches = split_patches(encrypted, scheme.side)
    shape = patches.shape[:2]
    keep = slice(scheme.erode, scheme.side - scheme.erode)
    inner = np.ascontiguousarray(patches[:, :, keep, keep]).reshape(
        -1, scheme.side - 2 * scheme.erode, scheme.side - 2 * scheme.erode, patches.shape[4])
    # Patches may be of 128 all over without having been dropped; nobody can tell, or use them.
    blank = (inner == MIDDLE_LEVEL).all((1, 2, 3)) if scheme.drop else np.zeros(len(inner), bool)
    return Pieces(undo_centering(inner, scheme), blank, shape, 2 * scheme.erode)


def undo_centering(patches: np.ndarray, scheme: Scheme) -> np.ndarray:
    """What :func:`mmppvit.encryption.center_patches` left, put back by a reader of its formula.

    Of the mean ``m`` of a patch, ``128 + (1 - strength) * (m - 128)`` is left, so that every
    strength below 1 can be undone but for rounding and saturation; so can the change of contrast
    of ``normalize``, at every strength: its ``rms * 40 / (rms + 8)`` grows with ``rms``. A gain is
    a division, but for what it clipped.

    Args:
        patches (ndarray): uint8 or float, (N, s, s, C); the whole ones, as far as they are there.
        scheme (Scheme): What they were encrypted with.

    Returns:
        ndarray: float32, (N, s, s, C); not clipped.
    """
    out = patches.astype(np.float32)
    left = 1 - scheme.center_strength
    if not scheme.centers:
        return out
    mean = out.mean((1, 2), keepdims=True)
    out -= mean
    if scheme.normalize:
        rms = np.sqrt(np.square(out).mean((1, 2, 3), keepdims=True))
        unbounded = rms * CONTRAST_FLOOR / np.maximum(CONTRAST - rms, 1)
        out *= (CONTRAST_FLOOR + np.minimum(unbounded, 128)) / CONTRAST
    out /= scheme.gain
    return out + MIDDLE_LEVEL + ((mean - MIDDLE_LEVEL) / left if left > 0 else 0)
