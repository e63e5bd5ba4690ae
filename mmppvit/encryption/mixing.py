"""MI, mixing sub-patches (Hao et al., IJCAI 2025, arXiv 2306.03679)."""
from __future__ import annotations

import numpy as np

from mmppvit.encryption.patches import check_grid, check_whole_patches

__all__ = ['mix_sub_patches', 'sum_sub_patches']


def mix_sub_patches(img: np.ndarray, patch_size: int = 16, grid: int = 2) -> np.ndarray:
    """Replace every patch by the mean of its ``grid`` x ``grid`` sub-patches.

    Patch (i, j) of the result has side ``patch_size / grid`` and is the mean of the sub-patches
    of patch (i, j) of ``img``. The arithmetic is exact, in integers, with one rounding at the
    end: ``(sum + n // 2) // n`` with ``n = grid ** 2``, to the nearest and halves upwards.

    Args:
        img (ndarray): uint8, (H, W) or (H, W, C), any C; sides multiples of ``patch_size``.
        patch_size (int): Side of a patch in pixels.
        grid (int): Sub-patches per side; 1 leaves the image as it is.

    Returns:
        ndarray: uint8, (H / grid, W / grid[, C]), contiguous.

    Raises:
        TypeError: The image is not uint8.
        ValueError: The grid does not divide the patch, or the patch the image.
    """
    _check(img, patch_size, grid)
    if grid == 1:
        return np.ascontiguousarray(img)
    dtype, lines, shape = _lines(img, patch_size, grid)
    out = np.empty(shape, np.uint8)
    step = max(1, _STRIP_BYTES // (lines[0, 0].size * dtype.itemsize))
    down = np.empty((min(step, len(lines)), *lines.shape[2:]), dtype)
    across = np.empty((len(down), *shape[1:]), dtype)
    for top in range(0, len(lines), step):
        count = min(step, len(lines) - top)
        _sum_strip(lines[top:top + count], down[:count], across[:count])
        _divide(across[:count], grid * grid, out[top:top + count])
    return out.reshape(img.shape[0] // grid, img.shape[1] // grid, *img.shape[2:])


def sum_sub_patches(img: np.ndarray, patch_size: int = 16, grid: int = 2) -> np.ndarray:
    """Replace every patch by the sum of its sub-patches: mixing, before the division by n.

    Args:
        img (ndarray): As for :func:`mix_sub_patches`.
        patch_size (int): Side of a patch in pixels.
        grid (int): Sub-patches per side.

    Returns:
        ndarray: uint16, or uint32 for grids above 16; (H / grid, W / grid[, C]), contiguous.

    Raises:
        TypeError, ValueError: As for :func:`mix_sub_patches`.
    """
    _check(img, patch_size, grid)
    dtype, lines, shape = _lines(img, patch_size, grid)
    out = np.empty(shape, dtype)
    if grid == 1:
        out[...] = lines.reshape(shape)
    else:
        step = max(1, _STRIP_BYTES // (lines[0, 0].size * dtype.itemsize))
        down = np.empty((min(step, len(lines)), *lines.shape[2:]), dtype)
        for top in range(0, len(lines), step):
            part = lines[top:top + step]
            _sum_strip(part, down[:len(part)], out[top:top + step])
    return out.reshape(img.shape[0] // grid, img.shape[1] // grid, *img.shape[2:])


def _check(img: np.ndarray, patch_size: int, grid: int) -> None:
    check_grid(patch_size, grid)
    if img.dtype != np.uint8:
        raise TypeError(f'mixing works on 8-bit images, got {img.dtype}; convert to uint8 first')
    check_whole_patches(img.shape, patch_size)


def _lines(img: np.ndarray, patch_size: int, grid: int
           ) -> tuple[np.dtype, np.ndarray, tuple[int, ...]]:
    """Type of the sums, ``(h g p) (w g q c) -> h g p (w g q c)``, and ``h p w (q c)``."""
    # 255 * n + n // 2 fits 16 bits up to grid 16; half the memory traffic of 32.
    dtype = np.dtype(np.uint16 if grid <= 16 else np.uint32)
    rows, cols, side = (img.shape[0] // patch_size, img.shape[1] // patch_size,
                        patch_size // grid)
    # Down a patch means whole lines of the image.
    lines = np.ascontiguousarray(img).reshape(rows, grid, side, -1)
    return dtype, lines, (rows, side, cols, lines.shape[3] // (cols * grid))


# Sums of this many bytes stay in the cache of one core, and their buffers are used again.
_STRIP_BYTES = 1 << 19


def _sum_strip(lines: np.ndarray, down: np.ndarray, across: np.ndarray) -> None:
    """Sums of whole rows of patches, ``h g p (w g q c) -> h p w (q c)``, into ``across``."""
    grid = lines.shape[1]
    np.add(lines[:, 0], lines[:, 1], out=down, dtype=down.dtype)
    for k in range(2, grid):
        down += lines[:, k]
    # Across on 1 / g of the data.
    runs = down.reshape(*across.shape[:3], grid, -1)
    np.add(runs[..., 0, :], runs[..., 1, :], out=across)
    for k in range(2, grid):
        across += runs[..., k, :]


def _divide(across: np.ndarray, count: int, out: np.ndarray) -> None:
    """Means of sums of ``count``, halves upwards; ``across`` is overwritten."""
    across += across.dtype.type(count // 2)
    if count & (count - 1) == 0:  # a shift is several times faster than a division
        across >>= across.dtype.type(count.bit_length() - 1)
    else:
        across //= across.dtype.type(count)
    out[...] = across
