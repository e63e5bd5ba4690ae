"""RS, random shuffling of patches (Hao et al., IJCAI 2025, arXiv 2306.03679)."""
from __future__ import annotations

import numpy as np

from mmppvit.encryption.levels import MIDDLE_LEVEL
from mmppvit.encryption.patches import check_whole_patches, split_patches

__all__ = ['blank_patches', 'erode_patches', 'shuffle_patches', 'unshuffle_patches']


def shuffle_patches(img: np.ndarray, side: int, order: np.ndarray) -> np.ndarray:
    """Put patch ``order[k]`` of ``img`` in place k; patches are counted row by row.

    Args:
        img (ndarray): (H, W) or (H, W, C), any dtype; sides multiples of ``side``.
        side (int): Side of a patch in pixels of ``img``: of a mixed image, that of a sub-patch.
        order (ndarray): Permutation of the H / side * W / side patches.

    Returns:
        ndarray: As ``img``, contiguous.

    Raises:
        ValueError: ``order`` is not a permutation of the image's patches.
    """
    check_whole_patches(img.shape, side)
    rows, cols = img.shape[0] // side, img.shape[1] // side
    order = _checked(order, rows * cols)
    # One line of one patch is one record, so that a single fancy index moves everything.
    lines = np.ascontiguousarray(img).reshape(rows, side, cols, -1)
    records = lines.view(np.dtype((np.void, lines.shape[3] * lines.itemsize))).reshape(-1)
    starts = (order // cols * (side * cols) + order % cols).reshape(rows, 1, cols)
    index = starts + np.arange(0, side * cols, cols).reshape(1, side, 1)
    return records[index].view(img.dtype).reshape(img.shape)


def unshuffle_patches(img: np.ndarray, side: int, order: np.ndarray) -> np.ndarray:
    """Undo :func:`shuffle_patches` of the same ``side`` and ``order``, exactly."""
    check_whole_patches(img.shape, side)
    order = _checked(order, img.shape[0] // side * (img.shape[1] // side))
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return shuffle_patches(img, side, inverse)


def erode_patches(img: np.ndarray, side: int, border: int, value: int = MIDDLE_LEVEL) -> np.ndarray:
    """Cut a border away from every patch: its pixels become ``value`` for good.

    A jigsaw solver compares the borders of patches, so a gap between them makes its work harder.
    The patch keeps its size, and the image its geometry.

    Args:
        img (ndarray): (H, W) or (H, W, C); sides multiples of ``side``.
        side (int): Side of a patch in pixels of ``img``.
        border (int): Pixels on each side of the patch; less than half of ``side``.
        value (int): What the border is filled with.

    Returns:
        ndarray: As ``img``; the very same array for border 0.

    Raises:
        ValueError: The border leaves nothing of a patch.
    """
    if not 0 <= 2 * border < side:
        raise ValueError(f'border {border} does not leave anything of a patch of {side} pixels; '
                         f'it must be at least 0 and less than {side / 2:g}')
    if border == 0:
        return img
    out = np.full_like(img, value)
    inner = slice(border, side - border)
    split_patches(out, side)[:, :, inner, inner] = split_patches(img, side)[:, :, inner, inner]
    return out


def blank_patches(img: np.ndarray, side: int, which: np.ndarray,
                  value: int = MIDDLE_LEVEL) -> np.ndarray:
    """Drop patches: those counted in ``which`` become ``value`` for good.

    Args:
        img (ndarray): (H, W) or (H, W, C); sides multiples of ``side``.
        side (int): Side of a patch in pixels of ``img``.
        which (ndarray): Indices of patches, counted row by row.
        value (int): What they are filled with.

    Returns:
        ndarray: As ``img``; the very same array if ``which`` is empty.
    """
    if len(which) == 0:
        return img
    out = img.copy()
    cols = img.shape[1] // side
    split_patches(out, side)[which // cols, which % cols] = value
    return out


def _checked(order: np.ndarray, count: int) -> np.ndarray:
    order = np.asarray(order)
    if order.shape != (count, ) or order.dtype.kind not in 'iu':
        raise ValueError(f'the image has {count} patches, the order is of {order.dtype} and shape '
                         f'{order.shape}')
    order = order.astype(np.int64, copy=False)
    # The range first: counting takes memory up to the largest.
    if count and (order.min() < 0 or order.max() >= count
                  or np.bincount(order, minlength=count).max() != 1):
        raise ValueError(f'the order is not a permutation of {count} patches')
    return order
