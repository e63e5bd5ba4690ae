"""Patch algebra: how an image is cut into patches and put together again."""
from __future__ import annotations

import numpy as np

__all__ = ['check_grid', 'merge_patches', 'pad_to_patches', 'padded_shape', 'split_patches']


def check_grid(patch_size: int, grid: int) -> int:
    """Side of a sub-patch, in pixels, of ``patch_size`` cut into ``grid`` x ``grid``.

    Raises:
        ValueError: Either is not a positive integer, or the grid does not divide the patch.
    """
    for name, value in (('patch_size', patch_size), ('grid', grid)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f'{name} must be a positive integer, got {value!r}')
    if patch_size % grid:
        divisors = [d for d in range(1, patch_size + 1) if patch_size % d == 0]
        raise ValueError(f'grid {grid} does not divide the patch size {patch_size}; '
                         f'choose one of {divisors}')
    return patch_size // grid


def padded_shape(shape: tuple[int, ...], patch_size: int) -> tuple[int, int]:
    """Height and width of an image of ``shape`` (H, W, ...) after padding to whole patches.

    Raises:
        ValueError: A side is shorter than one patch.
    """
    height, width = shape[:2]
    if min(height, width) < patch_size:
        raise ValueError(
            f'image of height {height} and width {width} is smaller than one '
            f'{patch_size}x{patch_size} patch; resize it first or choose a smaller patch_size')
    return -(-height // patch_size) * patch_size, -(-width // patch_size) * patch_size


def check_whole_patches(shape: tuple[int, ...], patch_size: int) -> None:
    """Raise ValueError unless both sides of ``shape`` (H, W, ...) are multiples of the patch's."""
    for name, side in (('height', shape[0]), ('width', shape[1])):
        if side % patch_size:
            raise ValueError(f'image {name} {side} is not a multiple of the patch {name} '
                             f'{patch_size}; pad_to_patches makes it one')


def pad_to_patches(img: np.ndarray, patch_size: int, pad_val: float | str = 0) -> np.ndarray:
    """Pad right and bottom to whole patches; the very same array where nothing is missing.

    Args:
        img (ndarray): (H, W) or (H, W, C), any dtype.
        patch_size (int): Side of a patch in pixels.
        pad_val (float | str): Value of the new pixels; 'mirror' for the image mirrored at its
            border, so that they are no mark of the patches that lay there.

    Returns:
        ndarray: (H', W'[, C]), H' and W' the next multiples of ``patch_size``.
    """
    height, width = padded_shape(img.shape, patch_size)
    if (height, width) == img.shape[:2]:
        return img
    if pad_val == 'mirror':
        missing = (0, height - img.shape[0]), (0, width - img.shape[1])
        return np.pad(img, (*missing, *((0, 0) for _ in img.shape[2:])), 'symmetric')
    out = np.full((height, width, *img.shape[2:]), pad_val, dtype=img.dtype)
    out[:img.shape[0], :img.shape[1]] = img
    return out


def split_patches(img: np.ndarray, patch_size: int) -> np.ndarray:
    """``(h p) (w q) c -> h w p q c``, a view where the memory layout allows it.

    Args:
        img (ndarray): (H, W) or (H, W, C), sides multiples of ``patch_size``.
        patch_size (int): Side of a patch in pixels.

    Returns:
        ndarray: (H / p, W / p, p, p, C), C being 1 for an image without channels.
    """
    check_whole_patches(img.shape, patch_size)
    height, width = img.shape[:2]
    patches = img.reshape(height // patch_size, patch_size, width // patch_size, patch_size, -1)
    return patches.transpose(0, 2, 1, 3, 4)


def merge_patches(patches: np.ndarray) -> np.ndarray:
    """``h w p q c -> (h p) (w q) c``, the inverse of :func:`split_patches`."""
    rows, cols, height, width, channels = patches.shape
    return patches.transpose(0, 2, 1, 3, 4).reshape(rows * height, cols * width, channels)
