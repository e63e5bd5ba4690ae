"""Encryption of single images while a classifier trains."""
from __future__ import annotations

import numpy as np
import torch
from mmengine.logging import print_log

from mmppvit.encryption import SCHEMES, Scheme, check_whole_patches, shuffle_patches

__all__ = ['ENCRYPTIONS', 'ImageEncryption', 'encryption_name', 'mixes']

ENCRYPTIONS = ('plain', *SCHEMES)
_OLD_NAMES = {'rs': 'shuffle', 'mi': 'mix', 'mi+rs': 'mix+shuffle'}


def encryption_name(name: str) -> str:
    """``name``, or the present name of a former one, with one line of notice.

    Raises:
        ValueError: The name is unknown.
    """
    if name in _OLD_NAMES:
        print_log(f'encryption {name!r} is now called {_OLD_NAMES[name]!r}', logger='current')
        return _OLD_NAMES[name]
    if name not in ENCRYPTIONS:
        raise ValueError(f'no encryption {name!r}: choose one of {list(ENCRYPTIONS)}')
    return name


def mixes(name: str) -> bool:
    """Whether the encryption of this name mixes sub-patches, so that images shrink."""
    return encryption_name(name).startswith('mix')


class ImageEncryption:
    """Encrypts 8-bit images of whole patches by a :class:`~mmppvit.encryption.Scheme`.

    Permutations have no key: this is for training on shuffled images, as Hao et al. (arXiv
    2306.03679) do, not for handing images over. In training every call draws a new permutation
    from PyTorch's generator; otherwise an image's permutation follows from the seed and its index.

    Args:
        name (str): 'plain' for no encryption, or the name of a scheme.
        patch_size (int): Side of a patch of the plain image in pixels.
        grid (int): Sub-patches per side; without effect for schemes that do not mix.
        training (bool): Draw new permutations.
        seed (int): Of the permutations in evaluation, not negative.
        **parameters: Further parameters of the scheme.

    Raises:
        ValueError: The name is unknown, or the grid does not divide the patch.
    """

    def __init__(self, name: str, patch_size: int = 16, grid: int = 2, training: bool = False,
                 seed: int = 0, **parameters) -> None:
        name = encryption_name(name)
        self.patch_size = patch_size
        self.scheme = None if name == 'plain' else Scheme(
            name, patch_size, grid if mixes(name) else 1, **parameters)
        self.training = training
        self.seed = seed

    def __call__(self, img: np.ndarray, index: int) -> np.ndarray:
        """Encrypt an image.

        Args:
            img (ndarray): uint8 (H, W, C).
            index (int): Of the image in its data set.

        Returns:
            ndarray: uint8 (H / grid, W / grid, C).

        Raises:
            ValueError: The image is not of whole patches.
        """
        check_whole_patches(img.shape, self.patch_size)
        if self.scheme is None:
            return img
        img = self.scheme.in_order(img)
        if not self.scheme.shuffles:
            return img
        side = self.scheme.side
        count = img.shape[0] // side * (img.shape[1] // side)
        return shuffle_patches(img, side, self._permutation(count, index))

    def _permutation(self, count: int, index: int) -> np.ndarray:
        if self.training:
            return torch.randperm(count).numpy()
        return np.random.default_rng((self.seed, index)).permutation(count)
