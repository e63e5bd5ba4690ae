"""Mosaics of whole patches, which commute with sealing."""
from __future__ import annotations

import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import Mosaic
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

from mmppvit.datasets.transforms.geometry import (
    PER_BOX_KEYS,
    check_sealed,
    pad_values,
    paste,
    place_masks,
)
from mmppvit.encryption import Change, check_grid

__all__ = ['PatchAlignedMosaic']


@TRANSFORMS.register_module()
class PatchAlignedMosaic(Mosaic):
    """MMDetection's ``Mosaic`` of four images without resizing any, on whole patches.

    Resizing does not commute with sealing, so every image keeps its size: one corner of each
    lies at the center, what reaches beyond the canvas of twice ``img_scale`` is cut off at the
    borders of patches, and what stays empty is filled. It goes into the pipeline of
    ``MultiImageMixDataset``.

    Required Keys:

    - img
    - gt_bboxes (BaseBoxes[torch.float32]) (optional)
    - gt_bboxes_labels (np.int64) (optional)
    - gt_ignore_flags (bool) (optional)
    - gt_masks (BitmapMasks | PolygonMasks) (optional)
    - gt_seg_map (np.uint8) (optional)
    - mix_results (List[dict]), with the same keys

    Modified Keys:

    - img
    - img_shape
    - gt_bboxes (optional)
    - gt_bboxes_labels (optional)
    - gt_ignore_flags (optional)
    - gt_masks (optional)
    - gt_seg_map (optional)
    - gt_instances_ids (optional, only used in MOT/VIS)

    Removed Keys:

    - homography_matrix, which four images do not share

    Args:
        img_scale (tuple[int, int]): (width, height), half of the canvas, in pixels of the images
            at hand, hence of sealed ones; whole patches.
        center_ratio_range (tuple[float, float]): Where the center may lie, in multiples of
            ``img_scale``; rounded down to whole patches.
        bbox_clip_border (bool): Whether to clip boxes at the border of the canvas.
        pad_val (float | dict): Value of empty patches, ``img`` and ``seg``. Sealing with
            centering of strength s turns a plain value v into ``v + s * (128 - v)``.
        prob (float): Probability of a mosaic.
        patch_size (int): Side of a patch of the plain image, in pixels.
        grid (int): Sub-patches per side that were mixed into one; 1 for plain images.
    """

    change = Change.CROP

    # MMCV's `cache_randomness` appends to a list that it would share with, and so spoil for,
    # MMDetection's Mosaic; this is our own.
    _methods_with_randomness = ['get_indexes']

    def __init__(self,
                 img_scale: tuple[int, int] = (640, 640),
                 center_ratio_range: tuple[float, float] = (.5, 1.5),
                 bbox_clip_border: bool = True,
                 pad_val: float | dict = dict(img=114, seg=255),
                 prob: float = 1.,
                 patch_size: int = 16,
                 grid: int = 2) -> None:
        super().__init__(img_scale, center_ratio_range, bbox_clip_border, pad_values(pad_val),
                         prob)
        self.patch_size = patch_size
        self.grid = grid
        self.side = check_grid(patch_size, grid)
        if any(size % self.side or size < 1 for size in img_scale):
            raise ValueError(f'img_scale {img_scale} is not whole patches of side {self.side} '
                             f'(patch_size {patch_size}, grid {grid}); choose multiples of it')
        if not 0 <= center_ratio_range[0] <= center_ratio_range[1] <= 2:
            raise ValueError('center_ratio_range must be a range (low, high) within [0, 2], got '
                             f'{center_ratio_range}')

    @cache_randomness
    def _random_center(self) -> tuple[int, int] | None:
        """(x, y) where the four images meet; None for no mosaic."""
        if np.random.rand() >= self.prob:
            return None
        low, high = self.center_ratio_range
        x, y = (int(np.random.uniform(low, high) * (size // self.side)) * self.side
                for size in self.img_scale)
        return x, y

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Put ``img`` and the images of ``mix_results`` together, with all their annotations."""
        if len(results.get('mix_results', ())) != 3:
            raise ValueError(f'{type(self).__name__} needs three more images in `mix_results`; '
                             'put it into the pipeline of a MultiImageMixDataset')
        parts = [results, *results['mix_results']]
        for part in parts:
            check_sealed(part, self)
        center = self._random_center()
        if center is None:
            return results
        places = [
            self._mosaic_combine(loc, center, part['img'].shape[1::-1]) for part, loc in zip(
                parts, ('top_left', 'top_right', 'bottom_left', 'bottom_right'), strict=True)]
        kept = [self._kept_annotations(*pair) for pair in zip(parts, places, strict=True)]
        self._join_pixels(results, parts, places)
        for key in kept[0]:
            values = [annotations[key] for annotations in kept]
            join = np.concatenate if isinstance(values[0], np.ndarray) else type(values[0]).cat
            results[key] = join(values)
        results.pop('homography_matrix', None)
        return results

    def _join_pixels(self, results: dict, parts: list[dict], places: list[tuple]) -> None:
        shape = (2 * self.img_scale[1], 2 * self.img_scale[0])
        for key, name in (('img', 'img'), ('gt_seg_map', 'seg')):
            if results.get(key) is None:
                continue
            first = results[key]
            canvas = np.full((*shape, *first.shape[2:]), self.pad_val[name], first.dtype)
            for part, (target, window) in zip(parts, places, strict=True):
                paste(canvas, part[key], window, target[:2])
            results[key] = canvas
        results['img_shape'] = shape

    def _kept_annotations(self, part: dict, place: tuple) -> dict:
        """What ``part`` adds to the mosaic: its boxes inside of it and all that goes with them."""
        if part.get('gt_bboxes') is None:
            return {}
        shape = (2 * self.img_scale[1], 2 * self.img_scale[0])
        (left, top, *_), window = place
        boxes = part['gt_bboxes'].clone()
        boxes.translate_((left - window[0], top - window[1]))
        if self.bbox_clip_border:
            boxes.clip_(shape)
        inside = boxes.is_inside(shape).numpy()
        kept = dict(gt_bboxes=boxes[inside])
        for key in PER_BOX_KEYS:
            if part.get(key) is not None:
                kept[key] = part[key][inside]
        if part.get('gt_masks') is not None:
            kept['gt_masks'] = place_masks(part['gt_masks'][inside], window, (left, top), shape)
        return kept

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(img_scale={self.img_scale}, '
                f'center_ratio_range={self.center_ratio_range}, '
                f'bbox_clip_border={self.bbox_clip_border}, pad_val={self.pad_val}, '
                f'prob={self.prob}, patch_size={self.patch_size}, grid={self.grid})')
