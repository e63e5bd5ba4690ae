"""Encryption of one image while a classifier trains."""
from __future__ import annotations

import numpy as np
import torch

from mmppvit.encryption import check_grid, check_whole_patches, mix_sub_patches, shuffle_patches

__all__ = ['ENCRYPTIONS', 'ImageEncryption']

ENCRYPTIONS = ('plain', 'rs', 'mi', 'mi+rs')


class ImageEncryption:
    """Mix (MI), shuffle (RS), both, or nothing, on 8-bit images of whole patches.

    The orders have no key: they are for training on shuffled images, as Hao et al. (arXiv
    2306.03679) do, not for handing images over. In training every call draws a fresh order
    from PyTorch's generator, else an image's order follows from the seed and its index.

    Args:
        name (str): One of :data:`ENCRYPTIONS`.
        patch_size (int): Side of a patch of the plain image in pixels.
        grid (int): Sub-patches per side, of those that mix.
        training (bool): Draw fresh orders.
        seed (int): Of the orders in evaluation, not negative.

    Raises:
        ValueError: The name is unknown, or the grid does not divide the patch.
    """

    def __init__(self, name: str, patch_size: int = 16, grid: int = 2, training: bool = False,
                 seed: int = 0) -> None:
        if name not in ENCRYPTIONS:
            raise ValueError(f'no encryption {name!r}: choose one of {list(ENCRYPTIONS)}')
        self.shuffles = name.endswith('rs')
        self.grid = grid if name.startswith('mi') else 1
        self.side = check_grid(patch_size, self.grid)
        self.patch_size = patch_size
        self.training = training
        self.seed = seed

    def __call__(self, img: np.ndarray, index: int) -> np.ndarray:
        """(H, W, C) uint8 -> (H / grid, W / grid, C) uint8.

        Raises:
            ValueError: The image is not of whole patches.
        """
        check_whole_patches(img.shape, self.patch_size)
        img = mix_sub_patches(img, self.patch_size, self.grid)
        if not self.shuffles:
            return img
        count = img.shape[0] // self.side * (img.shape[1] // self.side)
        return shuffle_patches(img, self.side, self._order(count, index))

    def _order(self, count: int, index: int) -> np.ndarray:
        if self.training:
            return torch.randperm(count).numpy()
        return np.random.default_rng((self.seed, index)).permutation(count)
