"""Turns: the same before and after sealing, and those of NumPy."""
from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.datasets.transforms.sample_images import (
    P,
    assert_commutes,
    assert_same_annotations,
    build,
    sample_image,
    samples,
    seal,
)


@given(samples(cell=True), st.sampled_from([.7, 1., [.2, .3, .5]]))
@settings(deadline=None, max_examples=60)
def test_turns_commute(sample, prob):
    plain, grid, seed = sample
    steps = [build('RandomRotate90', prob=prob, patch_size=P, grid=g) for g in (1, grid)]
    assert_commutes(plain, grid, *steps, seed)


def test_bitmaps_under_turns_are_less_than_a_pixel_off():
    """The limit of what is claimed above: sealing keeps the first of ``grid`` x ``grid`` pixels."""
    plain = sample_image(0, masks='bitmap')
    plain['gt_masks'].masks[:] = 0
    plain['gt_masks'].masks[:, 5:14, 3:12] = 1
    before = seal(build('RandomRotate90', prob=1., turns=2, grid=1, patch_size=P)(
        copy.deepcopy(plain)), 2)['gt_masks'].masks[0]
    after = build('RandomRotate90', prob=1., turns=2, grid=2, patch_size=P)(
        seal(plain, 2))['gt_masks'].masks[0]
    assert not np.array_equal(before, after)
    edges = [np.argwhere(masks).min(0).tolist() + np.argwhere(masks).max(0).tolist()
             for masks in (before, after)]
    assert np.abs(np.subtract(*edges)).max() == 1


@pytest.mark.parametrize('turns', [1, 2, 3])
def test_turns_are_those_of_numpy(turns):
    plain = sample_image(1, rows=2, cols=5)
    boxes = plain['gt_bboxes'].numpy().copy()
    results = build('RandomRotate90', prob=1., turns=turns, patch_size=P, grid=1)(
        copy.deepcopy(plain))
    np.testing.assert_array_equal(results['img'], np.rot90(plain['img'], turns))
    assert results['img'].flags.c_contiguous
    assert results['scale_factor'] == ((.5, 1.5) if turns % 2 else (1.5, .5))
    # The recorded matrix leads from the frame of before the first step to that of the boxes.
    corners = np.stack([boxes[:, :2], boxes[:, 2:]]).reshape(-1, 2) / [1.5, .5]
    moved = np.c_[corners, np.ones(len(corners))] @ results['homography_matrix'].T
    first, last = moved[:, :2].reshape(2, -1, 2)
    np.testing.assert_allclose(results['gt_bboxes'].numpy(), np.c_[
        np.minimum(first, last), np.maximum(first, last)], atol=1e-4)


def test_turns_are_chosen_as_often_as_asked():
    step = build('RandomRotate90', prob=[.5, .25], turns=[1, 3])
    np.random.seed(0)
    drawn = [step._choose_turns() for _ in range(2000)]
    np.testing.assert_allclose([drawn.count(k) / 2000 for k in range(4)], [.25, .5, 0, .25],
                               atol=.04)


@pytest.mark.parametrize('prob', [0., [0., 0., 0.]])
def test_without_a_turn_nothing_changes(prob):
    plain = sample_image(2, masks='bitmap')
    results = build('RandomRotate90', prob=prob, patch_size=P)(copy.deepcopy(plain))
    np.testing.assert_array_equal(results['img'], plain['img'])
    assert_same_annotations(results, plain)


@pytest.mark.parametrize('turns', [1, 2, 3])
def test_the_frame_of_a_sealed_image_turns_along(turns):
    """Visualizers bring masks into it; and the dict of the data set stays as it is."""
    sealed = dict(scaled_shape=(14, 38), patch_size=8, grid=2)
    results = dict(img=np.zeros((8, 20, 3), np.uint8), sealed=sealed)
    turned = build('RandomRotate90', prob=1., turns=turns, patch_size=8, grid=2)(results)
    assert turned['sealed']['scaled_shape'] == ((38, 14) if turns % 2 else (14, 38))
    assert sealed['scaled_shape'] == (14, 38)
