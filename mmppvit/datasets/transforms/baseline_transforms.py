"""Blur, pixelation, noise and smaller images as steps of an MMDetection pipeline."""
from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from mmppvit.datasets.transforms.mix_transforms import MixSubPatches, to_uint8
from mmppvit.encryption import BaselineScheme, downsample

__all__ = ['AddNoiseImage', 'DownsampleImage', 'GaussianBlurImage', 'PixelateImage']


class _SameSize(BaseTransform):
    """A baseline that leaves the size of the image, and so boxes and masks, as they are."""

    encrypts = True

    def __init__(self, name: str, strength: float) -> None:
        self.scheme = BaselineScheme(name, patch_size=1, grid=1, strength=strength)

    def transform(self, results: dict) -> dict:
        try:
            img = to_uint8(results['img'])
            results['img'] = self.scheme.in_order(img, str(results.get('img_id', '')))
        except (TypeError, ValueError) as err:
            raise type(err)(f"{results.get('img_path') or 'image'}: {err}") from err
        return results


@TRANSFORMS.register_module()
class GaussianBlurImage(_SameSize):
    """Blur: see :func:`mmppvit.encryption.blur`.

    For a PEViT put ``MixSubPatches`` of the model's ``patch_size`` with ``grid=1`` after it, which
    pads to whole patches.

    Required Keys:

    - img

    Modified Keys:

    - img

    Args:
        sigma (float): Standard deviation in pixels.
    """

    def __init__(self, sigma: float) -> None:
        super().__init__('blur', sigma)
        self.sigma = sigma

    def __repr__(self) -> str:
        return f'{type(self).__name__}(sigma={self.sigma})'


@TRANSFORMS.register_module()
class PixelateImage(_SameSize):
    """Pixelation: see :func:`mmppvit.encryption.pixelate`.

    Required Keys:

    - img

    Modified Keys:

    - img

    Args:
        block (int): Side of a block in pixels.
    """

    def __init__(self, block: int) -> None:
        super().__init__('pixelate', block)
        self.block = block

    def __repr__(self) -> str:
        return f'{type(self).__name__}(block={self.block})'


@TRANSFORMS.register_module()
class AddNoiseImage(_SameSize):
    """Gaussian noise: see :func:`mmppvit.encryption.add_noise`.

    It follows from the pixels and ``img_id``, so an image has the same noise every time, as a
    sealed one has.

    Required Keys:

    - img
    - img_id (optional)

    Modified Keys:

    - img

    Args:
        sigma (float): Standard deviation in levels.
    """

    def __init__(self, sigma: float) -> None:
        super().__init__('noise', sigma)
        self.sigma = sigma

    def __repr__(self) -> str:
        return f'{type(self).__name__}(sigma={self.sigma})'


@TRANSFORMS.register_module()
class DownsampleImage(MixSubPatches):
    """Pad to whole patches, then make smaller: see :func:`mmppvit.encryption.downsample`.

    What is said of :class:`MixSubPatches` holds for it; ``ShufflePatches`` of the same
    ``patch_size`` and ``grid=factor`` may follow.

    Args:
        factor (int): Of both sides; divides the patch.
        patch_size (int): Side of a patch of the plain image in pixels.
        pad_val (dict): Value of padded pixels, ``img`` and ``seg``.
    """

    def __init__(self,
                 factor: int = 2,
                 patch_size: int = 16,
                 pad_val: dict = dict(img=0, seg=255)) -> None:
        super().__init__(patch_size, factor, pad_val)

    def _shrink(self, img: np.ndarray) -> np.ndarray:
        return downsample(img, self.grid)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(factor={self.grid}, patch_size={self.patch_size}, '
                f'pad_val={self.pad_val})')
