"""Centering: take the mean of every patch away, the thumbnail that mixing leaves."""
from __future__ import annotations

import numpy as np

from mmppvit.encryption.levels import CONTRAST, CONTRAST_FLOOR, MIDDLE_LEVEL
from mmppvit.encryption.patches import check_whole_patches

__all__ = ['center_patches']


def center_patches(img: np.ndarray,
                   side: int,
                   strength: float = 1.,
                   normalize: bool = False) -> np.ndarray:
    """Move every patch toward mean 128 by ``strength``, per channel.

    ``y = clip(x + o, 0, 255)`` with one integer per patch and channel,
    ``o = floor(strength * (128 - mean) + 1/2)``: the texture is kept exactly but where it leaves
    the range of 8 bits, and there it saturates. With ``normalize`` the contrast of the patch,
    over all channels, goes as well:
    ``y = clip(round((x - mean) * 40 / (rms + 8) + 128 + (1 - strength) * (mean - 128)))`` with rms
    the root mean square of ``x - mean``.

    Args:
        img (ndarray): uint8, (H, W) or (H, W, C), any C; sides multiples of ``side``.
        side (int): Side of a patch in pixels of ``img``: of a mixed image, that of a sub-patch.
        strength (float): Share of the mean to take away; 0 leaves the image as it is unless it
            is normalized.
        normalize (bool): Bring all patches to one contrast.

    Returns:
        ndarray: uint8, as ``img``, contiguous.

    Raises:
        TypeError: The image is not uint8.
        ValueError: ``strength`` is not in [0, 1], or the patch does not divide the image.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f'center strength must lie between 0 and 1, got {strength}')
    if img.dtype != np.uint8:
        raise TypeError(f'centering works on 8-bit images, got {img.dtype}')
    check_whole_patches(img.shape, side)
    if strength == 0 and not normalize:
        return np.ascontiguousarray(img)
    lines = np.ascontiguousarray(img).reshape(
        img.shape[0] // side, side, img.shape[1] // side, side, -1)
    count = side * side
    # Down first, whole lines at a time; the sums are exact integers whatever the order.
    total = lines.sum(1, dtype=np.uint32).sum(2, dtype=np.uint32).astype(np.int64)
    if normalize:
        out = _normalized(lines, total, count, strength)
    else:
        offset = np.floor(strength * (MIDDLE_LEVEL - total / count) + .5).astype(np.int16)
        out = lines + offset[:, None, :, None]
        np.clip(out, 0, 255, out=out)
    return out.astype(np.uint8).reshape(img.shape)


def _normalized(lines: np.ndarray, total: np.ndarray, count: int, strength: float) -> np.ndarray:
    """``h p w q c`` of uint8 and the sums ``h w c`` of its patches -> float32, rounded."""
    mean = total / count
    squares = np.square(lines, dtype=np.uint32).sum(1).sum(2, dtype=np.uint64)
    variance = (squares / count - mean**2).mean(2, keepdims=True)
    gain = CONTRAST / (np.sqrt(np.maximum(variance, 0)) + CONTRAST_FLOOR)
    bias = MIDDLE_LEVEL + (1 - strength) * (mean - MIDDLE_LEVEL) - gain * mean
    out = lines * gain.astype(np.float32)[:, None, :, None]
    out += bias.astype(np.float32)[:, None, :, None]
    return np.clip(np.rint(out, out=out), 0, 255, out=out)
