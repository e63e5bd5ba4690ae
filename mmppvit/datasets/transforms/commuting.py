"""Geometry that commutes with sealing: the augmentations which sealed images can be trained with.

Before sealing or after it, the result is the same, as long as the image is whole patches: the
padding of a sealed image is a part of it like any other. MMDetection's ``RandomFlip`` belongs
here too and works as it is. Boxes and polygons come out exactly the same. So do bitmap masks and
segmentation maps of crops, shifts and mosaics; under flips and turns they may differ by less than
one pixel of the sealed image, since sealing keeps one pixel of ``grid`` x ``grid`` of them.

The patch is the unit of every random draw, so the same random numbers do the same thing to an
image (``grid=1``) and to its sealed version.
"""
from __future__ import annotations

from collections.abc import Sequence

from mmppvit.encryption import check_grid

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import Mosaic, RandomCrop
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import BitmapMasks, PolygonMasks

__all__ = [
    'PatchAlignedMosaic', 'PatchAlignedRandomCrop', 'PatchAlignedRandomShift', 'RandomRotate90'
]

# What MMDetection keeps beside ``gt_bboxes``, one entry for each box.
PER_BOX_KEYS = ('gt_bboxes_labels', 'gt_ignore_flags', 'gt_instances_ids')


@TRANSFORMS.register_module()
class RandomRotate90(BaseTransform):
    """Turn the image by 90, 180 or 270 degrees, counterclockwise as ``np.rot90`` does.

    Required Keys:

    - img
    - gt_bboxes (BaseBoxes[torch.float32]) (optional)
    - gt_masks (BitmapMasks | PolygonMasks) (optional)
    - gt_seg_map (np.uint8) (optional)
    - scale_factor (optional)

    Modified Keys:

    - img
    - img_shape
    - gt_bboxes
    - gt_masks
    - gt_seg_map
    - scale_factor

    Added Keys:

    - homography_matrix

    Args:
        prob (float | list[float]): Probability of turning, shared out equally among ``turns``;
            or that of each of them.
        turns (int | Sequence[int]): Quarter turns to choose from, out of 1, 2 and 3.
        patch_size (int): Side of a patch of the plain image, in pixels.
        grid (int): Sub-patches per side that were mixed into one; 1 for a plain image.
    """

    def __init__(self,
                 prob: float | Sequence[float] = .5,
                 turns: int | Sequence[int] = (1, 2, 3),
                 patch_size: int = 16,
                 grid: int = 2) -> None:
        turns = (turns, ) if isinstance(turns, int) else tuple(turns)
        if not turns or not set(turns) <= {1, 2, 3}:
            raise ValueError(f'turns are quarter turns, out of 1, 2 and 3; got {turns}')
        each = prob if isinstance(prob, Sequence) else [prob / len(turns)] * len(turns)
        if len(each) != len(turns) or min(each) < 0 or sum(each) > 1 + 1e-8:
            raise ValueError(f'prob must be one probability, or one for each of the turns {turns} '
                             f'with a sum of at most 1; got {prob}')
        self.prob = prob
        self.turns = turns
        self.patch_size = patch_size
        self.grid = grid
        self.side = check_grid(patch_size, grid)

    @cache_randomness
    def _choose_turns(self) -> int:
        """Quarter turns; 0 leaves the image as it is."""
        count = len(self.turns)
        each = self.prob if isinstance(self.prob, Sequence) else [self.prob / count] * count
        return int(np.random.choice([0, *self.turns], p=[max(0., 1 - sum(each)), *each]))

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Turn ``img`` and carry boxes, masks and the segmentation map along."""
        _check_sealed(results, self)
        turns = self._choose_turns()
        if not turns:
            return results
        matrix = _turn_matrix(turns, *results['img'].shape[:2])
        for key in ('img', 'gt_seg_map'):
            if results.get(key) is not None:
                results[key] = np.ascontiguousarray(np.rot90(results[key], turns))
        results['img_shape'] = results['img'].shape[:2]
        if results.get('gt_bboxes') is not None:
            results['gt_bboxes'].project_(matrix)
        if results.get('gt_masks') is not None:
            results['gt_masks'] = _turn_masks(results['gt_masks'], turns, matrix)
        if results.get('scale_factor') is not None and turns % 2:
            results['scale_factor'] = results['scale_factor'][::-1]
        _record_homography(results, matrix)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(prob={self.prob}, turns={self.turns}, '
                f'patch_size={self.patch_size}, grid={self.grid})')


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
        _check_sealed(results, self)
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
        self.pad_val = _pad_values(pad_val)

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
        _check_sealed(results, self)
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
                results[key] = _paste(canvas, results[key], window, corner)
        if results.get('gt_masks') is not None:
            masks = results['gt_masks'] if kept is None else results['gt_masks'][kept]
            results['gt_masks'] = _place_masks(masks, window, corner, shape)
        _record_homography(results, _translation(right, down))
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


@TRANSFORMS.register_module()
class PatchAlignedMosaic(Mosaic):
    """MMDetection's ``Mosaic`` of four images without resizing any, on whole patches.

    Resizing does not commute with sealing, so every image keeps its size: one corner of each
    lies at the centre, what reaches beyond the canvas of twice ``img_scale`` is cut off at the
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
        center_ratio_range (tuple[float, float]): Where the centre may lie, in multiples of
            ``img_scale``; rounded down to whole patches.
        bbox_clip_border (bool): Whether to clip boxes at the border of the canvas.
        pad_val (float | dict): Value of empty patches, ``img`` and ``seg``. Sealing with
            centering of strength s turns a plain value v into ``v + s * (128 - v)``.
        prob (float): Probability of a mosaic.
        patch_size (int): Side of a patch of the plain image, in pixels.
        grid (int): Sub-patches per side that were mixed into one; 1 for plain images.
    """

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
        super().__init__(img_scale, center_ratio_range, bbox_clip_border, _pad_values(pad_val),
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
            _check_sealed(part, self)
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
                _paste(canvas, part[key], window, target[:2])
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
            kept['gt_masks'] = _place_masks(part['gt_masks'][inside], window, (left, top), shape)
        return kept

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(img_scale={self.img_scale}, '
                f'center_ratio_range={self.center_ratio_range}, '
                f'bbox_clip_border={self.bbox_clip_border}, pad_val={self.pad_val}, '
                f'prob={self.prob}, patch_size={self.patch_size}, grid={self.grid})')


def _check_sealed(results: dict, transform: BaseTransform) -> None:
    """Raise ValueError where geometry would not commute: shuffled, or not of whole patches."""
    path, name = results.get('img_path') or 'image', type(transform).__name__
    if 'patch_order' in results:
        raise ValueError(f'{path}: its patches are shuffled, so {name} has no meaning; put '
                         f'UnshufflePatches before {name} and ShufflePatches after')
    height, width = results['img'].shape[:2]
    side = transform.side
    if height % side or width % side:
        raise ValueError(
            f'{path}: image of height {height} and width {width} is not whole patches of side '
            f'{side} (patch_size {transform.patch_size}, grid {transform.grid}); give {name} the '
            'patch_size and grid that it was sealed with, or pad a plain image first: '
            f"dict(type='Pad', size_divisor={side})")


def _pad_values(pad_val: float | dict) -> dict:
    return dict(pad_val) if isinstance(pad_val, dict) else dict(img=pad_val, seg=255)


def _record_homography(results: dict, matrix: np.ndarray) -> None:
    previous = results.get('homography_matrix')
    results['homography_matrix'] = matrix if previous is None else matrix @ previous


def _translation(right: float, down: float) -> np.ndarray:
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1]], np.float32)


def _turn_matrix(turns: int, height: int, width: int) -> np.ndarray:
    """Where ``np.rot90`` takes the point (x, y) of an image of ``height`` and ``width``."""
    rows = {
        1: [[0, 1, 0], [-1, 0, width]],
        2: [[-1, 0, width], [0, -1, height]],
        3: [[0, -1, height], [1, 0, 0]],
    }[turns]
    return np.array([*rows, [0, 0, 1]], np.float32)


def _turn_masks(masks: BitmapMasks | PolygonMasks, turns: int,
                matrix: np.ndarray) -> BitmapMasks | PolygonMasks:
    shape = (masks.width, masks.height) if turns % 2 else (masks.height, masks.width)
    if isinstance(masks, BitmapMasks):
        return BitmapMasks(np.rot90(masks.masks, turns, axes=(1, 2)), *shape)
    return _map_polygons(masks, matrix, shape)


def _map_polygons(masks: PolygonMasks, matrix: np.ndarray, shape: tuple[int, int]) -> PolygonMasks:
    matrix = matrix.astype(np.float64)
    moved = [[(part.reshape(-1, 2) @ matrix[:2, :2].T + matrix[:2, 2]).reshape(-1)
              for part in parts] for parts in masks.masks]
    return PolygonMasks(moved, *shape)


def _paste(canvas: np.ndarray, img: np.ndarray, window: Sequence[int],
           corner: Sequence[int]) -> np.ndarray:
    """Copy ``window`` (x1, y1, x2, y2) of ``img`` to ``corner`` (x, y) of ``canvas``."""
    x1, y1, x2, y2 = window
    left, top = corner
    canvas[top:top + y2 - y1, left:left + x2 - x1] = img[y1:y2, x1:x2]
    return canvas


def _place_masks(masks: BitmapMasks | PolygonMasks, window: Sequence[int], corner: Sequence[int],
                 shape: tuple[int, int]) -> BitmapMasks | PolygonMasks:
    """As :func:`_paste`, onto an empty canvas of ``shape``."""
    if isinstance(masks, BitmapMasks):
        canvas = np.zeros((len(masks), *shape), masks.masks.dtype)
        for one, mask in zip(canvas, masks.masks, strict=True):
            _paste(one, mask, window, corner)
        return BitmapMasks(canvas, *shape)
    return _map_polygons(masks.crop(np.asarray(window)), _translation(*corner), shape)
