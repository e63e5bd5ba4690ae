"""Mixing and centering with a gain as one step of an MMDetection pipeline."""
from __future__ import annotations

import numpy as np
from mmdet.registry import TRANSFORMS

from mmppvit.datasets.transforms.mix_transforms import MixSubPatches
from mmppvit.encryption import Scheme

__all__ = ['MixCenterPatches']


@TRANSFORMS.register_module()
class MixCenterPatches(MixSubPatches):
    """Mix sub-patches, center patches and multiply their texture, rounded once.

    It does what sealing with ``--scheme mix+center --gain`` does, see
    :func:`mmppvit.encryption.mix_and_center`, and stands in place of ``MixSubPatches`` and
    ``CenterPatches``; ``ShufflePatches`` of the same sizes may follow. What is said of
    :class:`MixSubPatches` holds for it.

    Args:
        patch_size (int): Side of a patch of the plain image in pixels.
        grid (int): Sub-patches per side.
        strength (float): Share of each patch's mean to take away, 0 to 1.
        gain (float): Factor of the texture, 1 to 64; with 1 the same as the two steps.
        pad_val (dict): Value of padded pixels, ``img`` and ``seg``.
    """

    def __init__(self,
                 patch_size: int = 16,
                 grid: int = 2,
                 strength: float = 1.,
                 gain: float = 4.,
                 pad_val: dict = dict(img=0, seg=255)) -> None:
        super().__init__(patch_size, grid, pad_val)
        self.scheme = Scheme('mix+center', patch_size, grid, strength, gain=gain)

    def _shrink(self, img: np.ndarray) -> np.ndarray:
        return self.scheme.in_order(img)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(patch_size={self.patch_size}, grid={self.grid}, '
                f'strength={self.scheme.center_strength}, gain={self.scheme.gain}, '
                f'pad_val={self.pad_val})')
