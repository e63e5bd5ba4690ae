"""Crops and shifts by whole patches: the same before and after sealing."""
from __future__ import annotations

import copy

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets.transforms import RandomCrop
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes

from tests.datasets.transforms.sample_images import (
    P,
    assert_commutes,
    assert_same_annotations,
    build,
    sample_image,
    samples,
)


@given(samples(), st.sampled_from([('absolute', (2, 1)), ('absolute', (3, 9)),
                                   ('absolute_range', (1, 3)), ('relative', (.6, .3)),
                                   ('relative_range', (.1, .4))]), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_crops_commute(sample, crop, negative, clip):
    plain, grid, seed = sample
    kind, size = crop
    unit = P if kind.startswith('absolute') else 1
    steps = [build('PatchAlignedRandomCrop', patch_size=P, grid=g, crop_type=kind,
                   crop_size=tuple(s * unit // g if unit > 1 else s for s in size),
                   allow_negative_crop=negative, bbox_clip_border=clip) for g in (1, grid)]
    assert_commutes(plain, grid, *steps, seed)


def test_crops_without_boxes_are_none_unless_allowed():
    plain = sample_image(3, boxes=1)
    plain['gt_bboxes'] = HorizontalBoxes(torch.tensor([[0., 0., 4., 4.]]))
    results = {}
    for allowed in (False, True):
        step = build('PatchAlignedRandomCrop', crop_size=(P, P), allow_negative_crop=allowed,
                     patch_size=P, grid=1)
        np.random.seed(0)
        results[allowed] = [step(copy.deepcopy(plain)) for _ in range(20)]
    assert any(one is None for one in results[False])
    assert [one is None for one in results[False]] == [
        len(one['gt_bboxes']) == 0 for one in results[True]]


def test_crops_are_those_of_mmdetection_with_patches_of_one_pixel():
    for seed in range(10):
        ends = []
        for kind in (RandomCrop, TRANSFORMS.get('PatchAlignedRandomCrop')):
            aligned = {} if kind is RandomCrop else dict(patch_size=1, grid=1)
            np.random.seed(seed)
            ends.append(kind((.3, .5), 'relative_range', allow_negative_crop=True, **aligned)(
                sample_image(seed, masks='bitmap')))
        np.testing.assert_array_equal(ends[0]['img'], ends[1]['img'])
        assert_same_annotations(*ends)


def test_a_crop_rounds_down_to_whole_patches():
    step = build('PatchAlignedRandomCrop', crop_size=(2 * P + 3, 99), patch_size=P, grid=1,
                 allow_negative_crop=True)
    assert step(sample_image(0))['img_shape'] == (3 * P, 2 * P)


@given(samples(), st.integers(0, 5), st.sampled_from([0, 4]))
@settings(deadline=None, max_examples=60)
def test_shifts_commute(sample, most, threshold):
    plain, grid, seed = sample
    steps = [build('PatchAlignedRandomShift', prob=.9, max_shift=most, patch_size=P, grid=g,
                   filter_thr_px=threshold // g, pad_val=77) for g in (1, grid)]
    assert_commutes(plain, grid, *steps, seed)


def test_a_shift_that_would_lose_every_box_is_left_out():
    step = build('PatchAlignedRandomShift', prob=1., max_shift=3, patch_size=P, grid=1)
    plain = sample_image(0, rows=1, boxes=1)
    plain['gt_bboxes'] = HorizontalBoxes(torch.tensor([[0., 0., 4., 4.]]))
    np.random.seed(0)
    shifted = [step(copy.deepcopy(plain)) for _ in range(20)]
    assert all(len(one['gt_bboxes']) == 1 for one in shifted)
    same = [np.array_equal(one['img'], plain['img']) for one in shifted]
    assert 0 < sum(same) < 20
    for one, unchanged in zip(shifted, same, strict=True):
        if unchanged:
            assert_same_annotations(one, plain)
