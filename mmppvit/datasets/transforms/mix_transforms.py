"""Mixing of sub-patches as a step of an MMDetection pipeline."""
from __future__ import annotations

import numpy as np
from mmcv.image import imresize
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

from mmppvit.encryption import check_grid, mix_sub_patches, pad_to_patches

__all__ = ['MixSubPatches']


@TRANSFORMS.register_module()
class MixSubPatches(BaseTransform):
    """Pad to whole patches, then mix sub-patches: to geometry, a resize by ``1 / grid``.

    Boxes, masks and evaluation follow through ``scale_factor`` as they follow MMDetection's
    ``Resize``, so heads and metrics need no change; their strides count pixels of the mixed
    image (``patch_size`` 16 and ``grid`` 2 give a backbone of stride 8). It belongs after
    everything that resizes, crops or colors the image, and before ``PackDetInputs``.

    An image which is not 8-bit, as ``PhotoMetricDistortion`` leaves it, is rounded and clipped
    to 8 bits first: that is what a file of it would hold.

    Required Keys:

    - img
    - gt_bboxes (BaseBoxes[torch.float32]) (optional)
    - gt_masks (BitmapMasks | PolygonMasks) (optional)
    - gt_seg_map (np.uint8) (optional)

    Modified Keys:

    - img
    - img_shape
    - gt_bboxes
    - gt_masks
    - gt_seg_map
    - scale_factor
    - homography_matrix

    Args:
        patch_size (int): Side of a patch in pixels.
        grid (int): Sub-patches per side; 1 only pads.
        pad_val (dict): Value of padded pixels, ``img`` and ``seg``.
    """

    encrypts = True

    def __init__(self,
                 patch_size: int = 16,
                 grid: int = 2,
                 pad_val: dict = dict(img=0, seg=255)) -> None:
        check_grid(patch_size, grid)
        self.patch_size = patch_size
        self.grid = grid
        self.pad_val = pad_val

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Mix ``img`` and carry boxes, masks and the segmentation map along."""
        try:
            img = pad_to_patches(to_uint8(results['img']), self.patch_size, self.pad_val['img'])
        except (TypeError, ValueError) as err:
            raise type(err)(f"{results.get('img_path') or 'image'}: {err}") from err
        results['img'] = self._shrink(img)
        results['img_shape'] = results['img'].shape[:2]
        self._resize_annotations(results, img.shape[:2])
        self._record_scale(results)
        return results

    def _shrink(self, img: np.ndarray) -> np.ndarray:
        return mix_sub_patches(img, self.patch_size, self.grid)

    def _resize_annotations(self, results: dict, padded: tuple[int, int]) -> None:
        if results.get('gt_bboxes') is not None:
            results['gt_bboxes'].rescale_((1 / self.grid, 1 / self.grid))
        if results.get('gt_masks') is not None:
            results['gt_masks'] = results['gt_masks'].pad(padded).resize(results['img_shape'])
        if results.get('gt_seg_map') is not None:
            seg = pad_to_patches(results['gt_seg_map'], self.patch_size, self.pad_val['seg'])
            results['gt_seg_map'] = imresize(
                seg, results['img_shape'][::-1], interpolation='nearest')

    def _record_scale(self, results: dict) -> None:
        w_scale, h_scale = results.get('scale_factor', (1., 1.))
        results['scale_factor'] = (w_scale / self.grid, h_scale / self.grid)
        matrix = np.diag([1 / self.grid, 1 / self.grid, 1]).astype(np.float32)
        previous = results.get('homography_matrix')
        results['homography_matrix'] = matrix if previous is None else matrix @ previous
        if 'border' in results:  # of RandomCenterCropPad: CornerNet and CenterNet take it away
            results['border'] = results['border'] / np.float32(self.grid)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(patch_size={self.patch_size}, grid={self.grid}, '
                f'pad_val={self.pad_val})')


def to_uint8(img: np.ndarray) -> np.ndarray:
    """What a file of ``img`` would hold: rounded and clipped, if it is not 8-bit already.

    Raises:
        TypeError: It is of integers of another size.
        ValueError: It is of floats that are no levels from 0 to 255: shares of 1, or normalized.
    """
    if img.dtype == np.uint8:
        return img
    if not np.issubdtype(img.dtype, np.floating):
        raise TypeError(f'encryption works on 8-bit images, got {img.dtype}; load the image with '
                        "LoadImageFromFile's default color_type, or convert it to uint8 first")
    if img.size and _are_no_levels(img):
        raise ValueError(
            f'images are encrypted as levels from 0 to 255, got {img.dtype} values from '
            f'{img.min():.3g} to {img.max():.3g}, which would leave nothing of the image: leave '
            'Normalize and other steps that scale levels out of the pipeline; the '
            'data_preprocessor does that after it')
    return np.clip(np.rint(img), 0, 255).astype(np.uint8)


def _are_no_levels(img: np.ndarray) -> bool:
    """Whether floats are shares of 1, normalized or not finite.

    A black image that was brightened has few values, however small: it is one of levels.
    """
    low, high = img.min(), img.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        return True
    return bool(high - low <= 10 and high <= 10 and np.unique(img[..., :1]).size > 24)
