"""Crops and shifts by whole patches, which commute with sealing.

The patch is the unit of every random draw, so the same random numbers do the same thing to an
image (``grid=1``) and to its sealed version, as long as it is whole patches: the padding of a
sealed image is a part of it like any other. Boxes and masks come out exactly the same.
"""
from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import RandomCrop
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

from mmppvit.datasets.transforms.geometry import (
    PER_BOX_KEYS,
    check_sealed,
    pad_values,
    paste,
    place_masks,
    record_homography,
    translation,
)
from mmppvit.encryption import Change, check_grid

__all__ = ['PatchAlignedRandomCrop', 'PatchAlignedRandomShift']


@TRANSFORMS.register_module()
class PatchAlignedRandomCrop(RandomCrop):
    """MMDetection's ``RandomCrop``, along the borders of patches.

    Size and offset are drawn in whole patches; everything else is MMDetection's, and so are the
    keys: where the crop would have no box and ``allow_negative_crop`` is False, the result is
    None, which data sets answer with another image. An image smaller than an absolute
    ``crop_size`` stays whole.

    Args:
        crop_size (tuple): See ``crop_type`` of ``RandomCrop``. In absolute types, pixels of the
            image at hand, hence of the sealed one, rounded down to whole patches; a relative
            size is rounded to the nearest number of patches and is at least one.
        crop_type (str): 'absolute', 'absolute_range', 'relative' or 'relative_range'.
        allow_negative_crop (bool): Whether a crop may be without any box.
        recompute_bbox (bool): Whether to take the boxes from the cropped masks.
        bbox_clip_border (bool): Whether to clip boxes at the border of the crop.
        patch_size (int): Side of a patch of the plain image, in pixels.
        grid (int): Sub-patches per side that were mixed into one; 1 for a plain image.
    """

    change = Change.CROP

    def __init__(self,
                 crop_size: tuple,
                 crop_type: str = 'absolute',
                 allow_negative_crop: bool = False,
                 recompute_bbox: bool = False,
                 bbox_clip_border: bool = True,
                 patch_size: int = 16,
                 grid: int = 2) -> None:
        super().__init__(crop_size, crop_type, allow_negative_crop, recompute_bbox,
                         bbox_clip_border)
        self.patch_size = patch_size
        self.grid = grid
        self.side = check_grid(patch_size, grid)
        if crop_type.startswith('absolute'):
            # From here on in patches, the unit of MMDetection's draws below.
            self.crop_size = tuple(size // self.side for size in crop_size)
            if min(self.crop_size) < 1:
                raise ValueError(
                    f'crop_size {crop_size} is smaller than a patch, which has side {self.side} '
                    f'(patch_size {patch_size}, grid {grid}); choose at least {self.side}')

    # Neither is marked with `cache_randomness`: the draw of the parent is, and is kept.
    def _get_crop_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        rows, cols = super()._get_crop_size(tuple(size // self.side for size in image_size))
        return max(rows, 1) * self.side, max(cols, 1) * self.side

    def _rand_offset(self, margin: tuple[int, int]) -> tuple[int, int]:
        down, right = super()._rand_offset(tuple(size // self.side for size in margin))
        return down * self.side, right * self.side

    def transform(self, results: dict) -> dict | None:
        """Crop ``img`` and carry boxes, masks and the segmentation map along."""
        check_sealed(results, self)
        return super().transform(results)

    def __repr__(self) -> str:
        size = self.crop_size
        if self.crop_type.startswith('absolute'):
            size = tuple(count * self.side for count in size)
        return (f'{type(self).__name__}(crop_size={size}, crop_type={self.crop_type!r}, '
                f'allow_negative_crop={self.allow_negative_crop}, '
                f'recompute_bbox={self.recompute_bbox}, '
                f'bbox_clip_border={self.bbox_clip_border}, '
                f'patch_size={self.patch_size}, grid={self.grid})')


@TRANSFORMS.register_module()
class PatchAlignedRandomShift(BaseTransform):
    """MMDetection's ``RandomShift``, by whole patches, and masks follow.

    Patches that move out are lost, those left empty are filled. Where no box would remain, an
    annotated image is not shifted, as in MMDetection.

    Required Keys:

    - img
    - gt_bboxes (BaseBoxes[torch.float32]) (optional)
    - gt_bboxes_labels (np.int64) (optional)
    - gt_ignore_flags (bool) (optional)
    - gt_masks (BitmapMasks | PolygonMasks) (optional)
    - gt_seg_map (np.uint8) (optional)

    Modified Keys:

    - img
    - gt_bboxes
    - gt_bboxes_labels
    - gt_ignore_flags
    - gt_masks
    - gt_seg_map
    - gt_instances_ids (optional, only used in MOT/VIS)

    Added Keys:

    - homography_matrix

    Args:
        prob (float): Probability of a shift.
        max_shift (int): Patches, not pixels, to shift by at most, down or up as well as right or
            left; at least one row and one column of patches stays.
        patch_size (int): Side of a patch of the plain image, in pixels.
        grid (int): Sub-patches per side that were mixed into one; 1 for a plain image.
        filter_thr_px (int): Boxes no wider or no higher than this are dropped, in pixels of the
            image at hand.
        pad_val (float | dict): Value of emptied patches, ``img`` and ``seg``. Sealing with
            centering of strength s turns a plain value v into ``v + s * (128 - v)``.
    """

    change = Change.CROP

    def __init__(self,
                 prob: float = .5,
                 max_shift: int = 2,
                 patch_size: int = 16,
                 grid: int = 2,
                 filter_thr_px: int = 1,
                 pad_val: float | dict = dict(img=0, seg=255)) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}')
        if not isinstance(max_shift, int) or max_shift < 0:
            raise ValueError(f'max_shift is a number of patches, 0 or more; got {max_shift!r}')
        self.prob = prob
        self.max_shift = max_shift
        self.patch_size = patch_size
        self.grid = grid
        self.side = check_grid(patch_size, grid)
        self.filter_thr_px = filter_thr_px
        self.pad_val = pad_values(pad_val)

    @cache_randomness
    def _random_shift(self, rows: int, cols: int) -> tuple[int, int]:
        """Patches down and right for an image of ``rows`` x ``cols`` patches."""
        if np.random.rand() >= self.prob:
            return 0, 0
        most = (min(self.max_shift, rows - 1), min(self.max_shift, cols - 1))
        down, right = (int(np.random.randint(-limit, limit + 1)) for limit in most)
        return down, right

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Shift ``img`` and carry boxes, masks and the segmentation map along."""
        check_sealed(results, self)
        shape = height, width = results['img'].shape[:2]
        shift = self._random_shift(height // self.side, width // self.side)
        down, right = (count * self.side for count in shift)
        if not (down or right):
            return results
        kept = self._shift_boxes(results, right, down)
        if kept is not None and not kept.any():
            return results
        # (x1, y1, x2, y2) of what stays in sight, and where its top left corner goes.
        window = (max(0, -right), max(0, -down), width - max(0, right), height - max(0, down))
        corner = (max(0, right), max(0, down))
        for key, name in (('img', 'img'), ('gt_seg_map', 'seg')):
            if results.get(key) is not None:
                canvas = np.full_like(results[key], self.pad_val[name])
                results[key] = paste(canvas, results[key], window, corner)
        if results.get('gt_masks') is not None:
            masks = results['gt_masks'] if kept is None else results['gt_masks'][kept]
            results['gt_masks'] = place_masks(masks, window, corner, shape)
        record_homography(results, translation(right, down))
        return results

    def _shift_boxes(self, results: dict, right: int, down: int) -> np.ndarray | None:
        """Which boxes stay, after changing ``results`` to them if any does; None without boxes."""
        if results.get('gt_bboxes') is None:
            return None
        boxes = results['gt_bboxes'].clone()
        boxes.translate_((right, down))
        boxes.clip_(results['img'].shape[:2])
        kept = ((boxes.widths > self.filter_thr_px) & (boxes.heights > self.filter_thr_px)).numpy()
        if kept.any():
            results['gt_bboxes'] = boxes[kept]
            for key in PER_BOX_KEYS:
                if results.get(key) is not None:
                    results[key] = results[key][kept]
        return kept

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(prob={self.prob}, max_shift={self.max_shift}, '
                f'patch_size={self.patch_size}, grid={self.grid}, '
                f'filter_thr_px={self.filter_thr_px}, pad_val={self.pad_val})')
