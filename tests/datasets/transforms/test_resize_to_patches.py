"""Resizing to whole patches: sizes, boxes, and what is never cut."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdet.registry import TRANSFORMS
from PIL import Image

from mmppvit.datasets.transforms.resize_to_patches import whole_patch_size

SIDE = st.integers(64, 2000)


@pytest.mark.parametrize(('size', 'short', 'longest', 'expected'), [
    ((640, 480), 480, 1333, (640, 480)),
    ((640, 427), 800, 1333, (1184, 800)),  # 1199.06 wide
    ((427, 640), 800, 1333, (800, 1184)),
    ((640, 200), 800, 1333, (1328, 416)),  # the longest decides: 417 of 1334
    ((500, 500), 500, None, (496, 496)),
    ((640, 480), 400, None, (528, 400)),
    ((1000, 200), 400, None, (2000, 400)),  # no longest
])
def test_sizes(size, short, longest, expected):
    assert whole_patch_size(size, short, longest, 16) == expected


@given(SIDE, SIDE, st.sampled_from(range(256, 801, 16)), st.sampled_from([None, 1013, 1333]))
def test_sizes_are_whole_patches_and_within_one_of_the_exact_ones(width, height, short, longest):
    if longest is not None and max(width, height) / min(width, height) > longest / 32:
        return
    new = whole_patch_size((width, height), short, longest, 16)
    scale = short / min(width, height)
    if longest is not None and max(width, height) * scale > longest:
        scale = longest / max(width, height)
        assert max(new) <= longest + max(width, height) / min(width, height)
    for side, exact in zip(new, (width * scale, height * scale), strict=True):
        assert side % 16 == 0
        slack = max(width, height) / min(width, height)  # of rounding the shorter side
        assert exact - 16 - slack < side <= exact + slack


def test_an_image_too_narrow_for_a_patch():
    with pytest.raises(ValueError, match='no whole patch of 16'):
        whole_patch_size((2000, 10), 256, 1013, 16)


def test_pixels_are_of_pil_and_boxes_follow_each_axis():
    img = np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)
    step = TRANSFORMS.build(dict(type='ResizeToWholePatches', scale=(70, 200), _scope_='mmdet'))
    boxes = np.array([[0, 0, 150, 100], [30, 10, 60, 50]], np.float32)
    got = step(dict(img=img, img_shape=(100, 150), gt_bboxes=boxes,
                    gt_bboxes_labels=np.zeros(2)))
    assert got['img_shape'] == (64, 96)  # 70 x 105
    want = np.asarray(Image.fromarray(img).resize((96, 64), Image.BILINEAR))
    np.testing.assert_array_equal(got['img'], want)
    x, y = 96 / 150, 64 / 100
    assert got['scale_factor'] == (x, y)
    np.testing.assert_allclose(
        got['gt_bboxes'], [[0, 0, 96, 64], [30 * x, 10 * y, 60 * x, 50 * y]], rtol=1e-6)
