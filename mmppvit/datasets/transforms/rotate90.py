"""Turns by 90 degrees, which commute with sealing, as MMDetection's ``RandomFlip`` does as it is.

Boxes and polygons come out exactly the same. Bitmap masks and segmentation maps may differ by less
than a pixel of the sealed image, since sealing keeps one of ``grid`` x ``grid`` of theirs.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmppvit.datasets.transforms.geometry import check_sealed, map_polygons, record_homography
from mmppvit.encryption import Change, check_grid

__all__ = ['RandomRotate90']


@TRANSFORMS.register_module()
class RandomRotate90(BaseTransform):
    """Turn the image by 90, 180 or 270 degrees, counterclockwise as ``np.rot90`` does.

    Required Keys:

    - img
    - gt_bboxes (BaseBoxes[torch.float32]) (optional)
    - gt_masks (BitmapMasks | PolygonMasks) (optional)
    - gt_seg_map (np.uint8) (optional)
    - scale_factor (optional)
    - sealed (optional)

    Modified Keys:

    - img
    - img_shape
    - gt_bboxes
    - gt_masks
    - gt_seg_map
    - scale_factor
    - sealed

    Added Keys:

    - homography_matrix

    Args:
        prob (float | list[float]): Probability of turning, shared out equally among ``turns``;
            or that of each of them.
        turns (int | Sequence[int]): Quarter turns to choose from, out of 1, 2 and 3.
        patch_size (int): Side of a patch of the plain image, in pixels.
        grid (int): Sub-patches per side that were mixed into one; 1 for a plain image.
    """

    change = Change.TURN

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
        check_sealed(results, self)
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
        if 'sealed' in results and turns % 2:  # a new dict: the data set may keep the old one
            results['sealed'] = dict(results['sealed'],
                                     scaled_shape=results['sealed']['scaled_shape'][::-1])
        record_homography(results, matrix)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(prob={self.prob}, turns={self.turns}, '
                f'patch_size={self.patch_size}, grid={self.grid})')


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
    return map_polygons(masks, matrix, shape)
