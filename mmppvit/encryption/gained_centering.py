"""Mixing, centering and a gain in one step, so that the texture is rounded once and finely."""
from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np

from mmppvit.encryption.levels import MIDDLE_LEVEL
from mmppvit.encryption.mixing import sum_sub_patches

__all__ = ['MAX_GAIN', 'check_gain', 'mix_and_center']

MAX_GAIN = 64
_DECIMALS = 3  # of gain and strength, so that all numbers stay exact


def mix_and_center(img: np.ndarray, patch_size: int, grid: int, strength: float = 1.,
                   gain: float = 1.) -> np.ndarray:
    """Mix sub-patches, move the mean of every patch toward 128, and multiply its texture.

    With the mean ``x`` of the sub-patches in a pixel, not rounded, and the mean ``m`` of the patch,
    per channel: ``y = clip(floor(128 + (1 - strength) * (m - 128) + gain * (x - m) + 1/2), 0,
    255)``. That is the exact value, rounded once, halves upwards as in :func:`mix_sub_patches`
    and :func:`center_patches`, which one after the other round twice. ``gain`` is one number for
    all patches: contrasts keep their ratios, but where they leave the range of 8 bits.

    Args:
        img (ndarray): uint8, (H, W) or (H, W, C), any C; sides multiples of ``patch_size``.
        patch_size (int): Side of a patch in pixels.
        grid (int): Sub-patches per side that are mixed into one; 1 for none.
        strength (float): Share of the mean to take away, 0 to 1; up to 3 decimals.
        gain (float): Factor of the texture, 1 to 64; up to 3 decimals.

    Returns:
        ndarray: uint8, (H / grid, W / grid[, C]), contiguous.

    Raises:
        TypeError: The image is not uint8.
        ValueError: A parameter is out of range, or has more decimals.
    """
    check_gain(gain, strength)
    sums = sum_sub_patches(img, patch_size, grid)
    side, whole = patch_size // grid, patch_size * patch_size
    factor, left = _decimal(gain), 1 - _decimal(strength)
    unit = lcm(factor.denominator, left.denominator)
    factor, left = int(factor * unit), int(left * unit)
    lines = sums.reshape(sums.shape[0] // side, side, sums.shape[1] // side, side, -1)
    total = lines.sum(1, dtype=np.int64).sum(2)
    # All terms as multiples of 1 / (unit * whole), in integers.
    divisor = unit * whole
    start = (unit * MIDDLE_LEVEL * whole + left * (total - MIDDLE_LEVEL * whole) - factor * total
             + divisor // 2)
    most = divisor * (int(gain) + 3) * 256
    dtype = np.int32 if most < 2**31 else np.int64
    out = lines * dtype(factor * side * side)
    out += start.astype(dtype)[:, None, :, None]
    if divisor & (divisor - 1) == 0:  # a shift rounds downwards as well, and is faster
        out >>= dtype(divisor.bit_length() - 1)
    else:
        out //= dtype(divisor)
    return np.clip(out, 0, 255, out=out).astype(np.uint8).reshape(sums.shape)


def check_gain(gain: float, strength: float) -> None:
    """Raise ValueError unless :func:`mix_and_center` takes both."""
    if not 1 <= gain <= MAX_GAIN:
        raise ValueError(f'gain must lie between 1 and {MAX_GAIN}, got {gain}')
    if not 0 <= strength <= 1:
        raise ValueError(f'center strength must lie between 0 and 1, got {strength}')
    for name, value in (('gain', gain), ('the center strength beside a gain', strength)):
        if 10**_DECIMALS % _decimal(value).denominator:
            raise ValueError(f'{name} may have {_DECIMALS} decimals, got {value}')


def _decimal(value: float) -> Fraction:
    """The number as it is written, 0.1 as 1/10."""
    return Fraction(repr(float(value)))
