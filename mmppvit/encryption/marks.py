"""Marks that encryption leaves in an image, and by which one that lacks them is found."""
from __future__ import annotations

import numpy as np

from mmppvit.encryption.levels import MIDDLE_LEVEL
from mmppvit.encryption.patches import split_patches
from mmppvit.encryption.shuffling import shuffle_patches

__all__ = ['blockiness', 'continues_over_borders', 'disorder', 'has_blocks', 'has_gray_borders',
           'has_middle_means', 'lies_in_order']

# 111 photographs: in order up to 0.50, mixed or not, with patches of 8 and 16 pixels; shuffled from
# 0.966.
_ORDERED_BELOW, _ENOUGH_PATCHES = .8, 48
# 90 photographs at two sizes and three patch sizes: mixed from 1.39; shrunk 2 to 4 times below 1.3
# in 9 of 10.
_PLAIN_BELOW = 1.3


def has_gray_borders(img: np.ndarray, side: int, width: int) -> bool:
    """Whether ``width`` pixels around each patch are of the middle level, as eroding makes them."""
    gray = split_patches(img, side) == MIDDLE_LEVEL
    gray[:, :, width:-width, width:-width] = True
    return bool(gray.all())


def has_middle_means(img: np.ndarray, side: int, strength: float) -> bool:
    """Whether patches have means near 128, as centering of this strength makes them.

    Those whose texture saturates do not count.
    """
    patches = split_patches(img, side)
    saturated = ((patches == 0) | (patches == 255)).any((2, 3))
    # Rounding moves the mean by up to half a level.
    allowed = (1 - strength) * MIDDLE_LEVEL + 1
    return not (np.abs(patches.mean((2, 3)) - MIDDLE_LEVEL) > allowed)[~saturated].any()


def lies_in_order(img: np.ndarray, side: int) -> bool:
    """Whether neighbors are still neighbors: see :func:`disorder`."""
    return disorder(img, side) < _ORDERED_BELOW


def continues_over_borders(img: np.ndarray, side: int) -> bool:
    """Whether patches continue each other, which mixed ones do not: see :func:`blockiness`."""
    return side > 1 and blockiness(img, side) < _PLAIN_BELOW


def has_blocks(img: np.ndarray, block: int, padding: int) -> bool:
    """Whether all blocks of side ``block`` are of one color.

    Those that end within ``padding`` pixels of the right and lower border do not count.
    """
    rows, cols = (max(size - padding, 0) // block for size in img.shape[:2])
    if not rows or not cols:
        return True
    blocks = split_patches(img[:rows * block, :cols * block], block)
    return bool((blocks == blocks[:, :, :1, :1]).all())


def blockiness(img: np.ndarray, side: int) -> float:
    """Mean step over the borders of patches as a multiple of the mean step within them.

    About 1 for an image that was not encrypted, or not with patches of this side; infinite where
    it says nothing: for images without texture, and for noise, whose steps are large everywhere.

    Args:
        img (ndarray): uint8, (H, W, C), sides multiples of ``side``.
        side (int): Side of a patch in pixels, 2 or more.
    """
    over, within = [], []
    for turned in (img, img.swapaxes(0, 1)):
        steps = np.abs(np.diff(turned.astype(np.int16), axis=0)).mean(axis=(1, 2))
        at_border = np.arange(1, len(turned)) % side == 0
        over += steps[at_border].tolist()
        within += steps[~at_border].tolist()
    spread = img.std(axis=(0, 1)).mean()
    if not over or spread < 4 or not 0 < np.mean(within) < .7 * spread:
        return np.inf
    return float(np.mean(over) / np.mean(within))


def disorder(img: np.ndarray, side: int) -> float:
    """Mean step over the borders of patches as a share of what it is in a random order.

    About 1 for shuffled patches, well below where neighbors are still neighbors, mixed or not;
    infinite where it says nothing: for images without texture or of few patches.

    Args:
        img (ndarray): uint8, (H, W, C), sides multiples of ``side``.
        side (int): Side of a patch in pixels.
    """
    count = img.shape[0] // side * (img.shape[1] // side)
    if count < _ENOUGH_PATCHES or img.std(axis=(0, 1)).mean() < 4:
        return np.inf
    rng = np.random.default_rng(0)
    at_random = [_step_at_borders(shuffle_patches(img, side, rng.permutation(count)), side)
                 for _ in range(2)]
    return _step_at_borders(img, side) / np.mean(at_random)


def _step_at_borders(img: np.ndarray, side: int) -> float:
    steps = [np.abs(turned[side::side].astype(np.int16) - turned[side - 1:-1:side]).mean()
             for turned in (img, img.swapaxes(0, 1)) if len(turned) > side]
    return float(np.mean(steps))
