"""What the geometric steps on sealed images share."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.mask import BitmapMasks, PolygonMasks

__all__ = [
    'PER_BOX_KEYS', 'check_sealed', 'map_polygons', 'pad_values', 'paste', 'place_masks',
    'record_homography', 'translation'
]

# What MMDetection keeps beside ``gt_bboxes``, one entry for each box.
PER_BOX_KEYS = ('gt_bboxes_labels', 'gt_ignore_flags', 'gt_instances_ids')


def check_sealed(results: dict, transform: BaseTransform) -> None:
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


def pad_values(pad_val: float | dict) -> dict:
    return dict(pad_val) if isinstance(pad_val, dict) else dict(img=pad_val, seg=255)


def record_homography(results: dict, matrix: np.ndarray) -> None:
    previous = results.get('homography_matrix')
    results['homography_matrix'] = matrix if previous is None else matrix @ previous


def translation(right: float, down: float) -> np.ndarray:
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1]], np.float32)


def map_polygons(masks: PolygonMasks, matrix: np.ndarray, shape: tuple[int, int]) -> PolygonMasks:
    matrix = matrix.astype(np.float64)
    moved = [[(part.reshape(-1, 2) @ matrix[:2, :2].T + matrix[:2, 2]).reshape(-1)
              for part in parts] for parts in masks.masks]
    return PolygonMasks(moved, *shape)


def paste(canvas: np.ndarray, img: np.ndarray, window: Sequence[int],
           corner: Sequence[int]) -> np.ndarray:
    """Copy ``window`` (x1, y1, x2, y2) of ``img`` to ``corner`` (x, y) of ``canvas``."""
    x1, y1, x2, y2 = window
    left, top = corner
    canvas[top:top + y2 - y1, left:left + x2 - x1] = img[y1:y2, x1:x2]
    return canvas


def place_masks(masks: BitmapMasks | PolygonMasks, window: Sequence[int], corner: Sequence[int],
                 shape: tuple[int, int]) -> BitmapMasks | PolygonMasks:
    """As :func:`paste`, onto an empty canvas of ``shape``."""
    if isinstance(masks, BitmapMasks):
        canvas = np.zeros((len(masks), *shape), masks.masks.dtype)
        for one, mask in zip(canvas, masks.masks, strict=True):
            paste(one, mask, window, corner)
        return BitmapMasks(canvas, *shape)
    return map_polygons(masks.crop(np.asarray(window)), translation(*corner), shape)
