"""Marks that encryption leaves in every image, so that one without them was not encrypted.

Each is a bound that no encrypted image can exceed, whatever the plain one was: text pages, drawings
and X-rays as well as photographs. What can only be judged by comparison is in
:mod:`mmppvit.encryption.continuity`.
"""
from __future__ import annotations

import numpy as np

from mmppvit.encryption.degradations import gaussian_weights
from mmppvit.encryption.levels import MIDDLE_LEVEL
from mmppvit.encryption.patches import split_patches

__all__ = ['has_blocks', 'has_gray_borders', 'has_middle_means', 'has_noise', 'has_small_steps',
           'starts_gray']

# Noise of less changes few pixels after rounding; of more it mostly clips.
_LEAST_NOISE, _MOST_NOISE = 2., 60.
# Where noise is clipped on one side, 0.6 of its standard deviation is left.
_LEFT_OF_NOISE = .4
_ENOUGH_SQUARES = 256
_MEDIAN = .6745  # of the size of a Gaussian number, in standard deviations


def has_gray_borders(img: np.ndarray, side: int, width: int) -> bool:
    """Whether ``width`` pixels around each patch are of the middle level, as eroding makes them."""
    gray = split_patches(img, side) == MIDDLE_LEVEL
    gray[:, :, width:-width, width:-width] = True
    return bool(gray.all())


def starts_gray(img: np.ndarray, side: int, count: int) -> bool:
    """Whether the first ``count`` patches are of the middle level: dropped ones come first."""
    patches = split_patches(img, side)
    return bool((patches.reshape(-1, *patches.shape[2:])[:count] == MIDDLE_LEVEL).all())


def has_middle_means(img: np.ndarray, side: int, strength: float) -> bool:
    """Whether patches have means near 128, as centering of this strength makes them.

    Clipping at 255 can only lower a mean, and clipping at 0 can only raise it.
    """
    patches = split_patches(img, side)
    away = patches.mean((2, 3)) - MIDDLE_LEVEL
    # Rounding moves the mean by up to half a level.
    allowed = (1 - strength) * MIDDLE_LEVEL + 1
    too_low = (away < -allowed) & ~(patches == 255).any((2, 3))
    too_high = (away > allowed) & ~(patches == 0).any((2, 3))
    return not (too_low | too_high).any()


def has_blocks(img: np.ndarray, block: int, padding: int) -> bool:
    """Whether all blocks of side ``block`` are of one color.

    Those that end within ``padding`` pixels of the right and lower border do not count.
    """
    rows, cols = (max(size - padding, 0) // block for size in img.shape[:2])
    if not rows or not cols:
        return True
    blocks = split_patches(img[:rows * block, :cols * block], block)
    return bool((blocks == blocks[:, :, :1, :1]).all())


def has_small_steps(img: np.ndarray, sigma: float, padding: int) -> bool:
    """Whether neighbors differ by no more than they can after a blur of ``sigma`` pixels.

    A step from 0 to 255 becomes one of 255 times the largest weight of the blur. ``padding`` pixels
    at the right and lower border do not count.
    """
    weights = gaussian_weights(sigma).astype(np.int64)
    most = 255 * np.diff(weights, prepend=0).clip(0).sum() / weights.sum() + 1  # 1: rounding
    inner = img[:max(img.shape[0] - padding, 0), :max(img.shape[1] - padding, 0)].astype(np.int16)
    return all(np.abs(np.diff(inner, axis=axis)).max(initial=0) <= most for axis in (0, 1))


def has_noise(img: np.ndarray, sigma: float) -> bool:
    """Whether 2 x 2 neighbors differ as much as Gaussian noise of ``sigma`` levels makes them.

    Squares with a number that may have been clipped do not count. True where too few are left, and
    for noise of less than 2 levels.
    """
    if sigma < _LEAST_NOISE:
        return True
    even = img[:img.shape[0] // 2 * 2, :img.shape[1] // 2 * 2].astype(np.int16)
    squares = even[::2, ::2], even[1::2, ::2], even[::2, 1::2], even[1::2, 1::2]
    whole = np.logical_and.reduce([(part > 0) & (part < 255) for part in squares])
    if whole.sum() < _ENOUGH_SQUARES:
        return True
    a, b, c, d = squares
    found = np.median(np.abs(a - b - c + d)[whole]) / (2 * _MEDIAN)
    return bool(found >= _LEFT_OF_NOISE * min(sigma, _MOST_NOISE))
