"""Annotated images, drawn at random, and what it means that a step commutes with sealing."""
from __future__ import annotations

import copy

import numpy as np
import torch
from hypothesis import strategies as st
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

import mmppvit.register  # noqa: F401

P = 8
GEOMETRY = ['RandomRotate90', 'PatchAlignedRandomCrop', 'PatchAlignedRandomShift',
            'PatchAlignedMosaic']


def build(name: str, **kwargs):
    """The step of that name."""
    return TRANSFORMS.build(dict(type=name, **kwargs))


def _polygons(boxes: np.ndarray, shape: tuple) -> PolygonMasks:
    """Of every box the outline in one part, and its upper left triangle in another."""
    parts = [[np.array([x1, y1, x2, y1, x2, y2, x1, y2]), np.array([x1, y1, x2, y1, x1, y2])]
             for x1, y1, x2, y2 in boxes.astype(np.float64)]
    return PolygonMasks(parts, *shape)


def sample_image(seed: int, rows: int = 3, cols: int = 4, masks: str | None = None, boxes: int = 4,
                 cell: int = 1, mix: int = 0) -> dict:
    """A plain image of whole patches; masks and segments are constant on ``cell`` x ``cell``."""
    rng = np.random.default_rng(seed)
    shape = height, width = rows * P, cols * P
    left = rng.integers(0, [width - 1, height - 1], (boxes, 2))
    right = rng.integers(left + 1, [width + 1, height + 1], (boxes, 2))
    # Halves are drawn as well, as boxes in files are no whole numbers; they stay exact.
    corners = np.c_[left, right].astype(np.float32)
    corners[::2, :2] += .5
    cells = (rows * P // cell, cols * P // cell)
    results = dict(
        img=rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
        img_path=f'street_{seed}.jpg',
        img_shape=shape,
        ori_shape=shape,
        scale_factor=(1.5, .5),
        homography_matrix=np.diag([1.5, .5, 1]).astype(np.float32),
        gt_bboxes=HorizontalBoxes(torch.from_numpy(corners)),
        gt_bboxes_labels=rng.integers(0, 9, boxes),
        gt_ignore_flags=rng.integers(0, 2, boxes).astype(bool),
        gt_seg_map=rng.integers(0, 9, cells, dtype=np.uint8).repeat(cell, 0).repeat(cell, 1))
    if masks == 'bitmap':
        bits = rng.integers(0, 2, (boxes, *cells), dtype=np.uint8)
        results['gt_masks'] = BitmapMasks(bits.repeat(cell, 1).repeat(cell, 2), *shape)
    elif masks == 'polygon':
        results['gt_masks'] = _polygons(corners, shape)
    if mix:
        results['mix_results'] = [sample_image(i, masks=masks) for i in range(mix)]
    return results


def seal(results: dict, grid: int) -> dict:
    """Mixed, with what is to be mixed in; the plain one stays as it is."""
    sealed = build('MixSubPatches', patch_size=P, grid=grid)(copy.deepcopy(results))
    if 'mix_results' in sealed:
        sealed['mix_results'] = [seal(other, grid) for other in sealed['mix_results']]
    return sealed


def assert_same_annotations(one: dict, other: dict) -> None:
    """All but the image: shapes, boxes, labels, masks, segments, homography."""
    assert set(one) == set(other)
    for key in ('img_shape', 'ori_shape', 'scale_factor', 'flip', 'flip_direction'):
        assert one.get(key) == other.get(key), key
    for key in ('gt_bboxes_labels', 'gt_ignore_flags', 'gt_seg_map', 'homography_matrix'):
        np.testing.assert_array_equal(one.get(key), other.get(key), err_msg=key)
    np.testing.assert_array_equal(one['gt_bboxes'].numpy(), other['gt_bboxes'].numpy())
    if 'gt_masks' not in one:
        return
    assert (one['gt_masks'].height, one['gt_masks'].width) == one['img_shape']
    assert (other['gt_masks'].height, other['gt_masks'].width) == one['img_shape']
    for first, second in zip(one['gt_masks'].masks, other['gt_masks'].masks, strict=True):
        for part, other_part in zip(first, second, strict=True):
            np.testing.assert_array_equal(part, other_part)


def assert_commutes(plain: dict, grid: int, step, sealed_step, seed: int) -> None:
    """Exactly, with the same random numbers on both sides."""
    np.random.seed(seed)
    before = step(copy.deepcopy(plain))
    np.random.seed(seed)
    after = sealed_step(seal(plain, grid))
    assert (before is None) == (after is None)
    if before is None:
        return
    sealed = seal(before, grid)
    if 'homography_matrix' not in before:
        del sealed['homography_matrix']
    before = sealed
    np.testing.assert_array_equal(before['img'], after['img'])
    assert after['img'].dtype == np.uint8
    assert after['img'].shape[:2] == after['img_shape']
    assert not any(size % (P // grid) for size in after['img_shape'])
    assert_same_annotations(before, after)


@st.composite
def samples(draw, cell: bool = False):
    """(plain results, grid, seed of the random draws)."""
    grid = draw(st.sampled_from([1, 2, 4]))
    seed = draw(st.integers(0, 2**32 - 1))
    plain = sample_image(seed, draw(st.integers(1, 4)), draw(st.integers(1, 4)),
                         draw(st.sampled_from([None, 'bitmap', 'polygon'])),
                         draw(st.sampled_from([0, 1, 4])), grid if cell else 1)
    return plain, grid, seed


def painted(seed: int, masks: str, rows: int = 4, cols: int = 5) -> dict:
    """Rectangles apart from each other, each in a gray of its own, above 100; the rest is 0."""
    rng = np.random.default_rng(seed)
    img = np.zeros((rows * P, cols * P, 3), np.uint8)
    boxes, greys = [], []
    for i, j in np.ndindex(rows, cols):
        x, y = j * P + rng.integers(0, 4), i * P + rng.integers(0, 4)
        boxes.append([x, y, x + rng.integers(2, 5), y + rng.integers(2, 5)])
        greys.append(101 + len(greys) + 30 * (seed % 4))
        img[y:boxes[-1][3], x:boxes[-1][2]] = greys[-1]
    boxes = np.array(boxes, np.float32)
    results = dict(img=img, img_shape=img.shape[:2], gt_bboxes=HorizontalBoxes(boxes),
                   gt_bboxes_labels=np.array(greys), gt_ignore_flags=np.array(greys) % 2 == 0,
                   gt_seg_map=img[..., 0].copy(), gt_masks=_polygons(boxes, img.shape[:2]),
                   scale_factor=(2., 3.))
    if masks == 'bitmap':
        results['gt_masks'] = BitmapMasks(
            (img[None, ..., 0] == np.array(greys)[:, None, None]).astype(np.uint8),
            *img.shape[:2])
    return results


def assert_as_painted(results: dict) -> None:
    """Boxes, masks and segments against the greys of the image itself."""
    gray = results['img'][..., 0]
    bitmaps = results['gt_masks'].to_ndarray()
    assert len(results['gt_bboxes']) == len(results['gt_bboxes_labels']) == len(bitmaps)
    assert results['img_shape'] == gray.shape == results['gt_seg_map'].shape
    labels = results['gt_bboxes_labels'].tolist()
    assert sorted(labels) == np.unique(gray[gray > 100]).tolist()  # what shows, and nothing else
    np.testing.assert_array_equal(results['gt_ignore_flags'], np.array(labels, int) % 2 == 0)
    inside = results['gt_seg_map'] != 255
    np.testing.assert_array_equal(results['gt_seg_map'][inside], gray[inside])
    assert (gray[~inside] == 7).all()
    for box, label, mask in zip(results['gt_bboxes'].numpy(), labels, bitmaps, strict=True):
        place = np.argwhere(gray == label)
        assert box.tolist() == [*place.min(0)[::-1], *(place.max(0) + 1)[::-1]]
        np.testing.assert_array_equal(mask, gray == label)
