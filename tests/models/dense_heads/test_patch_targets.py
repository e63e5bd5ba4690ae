"""What patches show, against a loop over patches and boxes."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.models.dense_heads.patch_targets import patch_targets

BACKGROUND = 9


def slow(boxes: list[list[int]], cells: tuple[int, int], stride: int) -> list[tuple]:
    """(index of the box or None) of every patch, row by row."""
    found = []
    for row in range(cells[0]):
        for column in range(cells[1]):
            x, y = (column + .5) * stride, (row + .5) * stride
            around = [((x2 - x1) * (y2 - y1), index) for index, (x1, y1, x2, y2) in
                      enumerate(boxes) if x1 < x < x2 and y1 < y < y2]
            found.append(min(around)[1] if around else None)
    return found


corner = st.integers(0, 60)
extent = st.integers(1, 50)
boxes_of_an_image = st.lists(
    st.tuples(corner, corner, extent, extent).map(
        lambda box: [box[0], box[1], box[0] + box[2], box[1] + box[3]]), max_size=5)


@given(boxes_of_an_image, st.tuples(st.integers(1, 5), st.integers(1, 5)), st.sampled_from([8, 16]))
@settings(deadline=None, max_examples=150)
def test_as_a_loop_finds_them(boxes, cells, stride):
    bboxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels, targets = patch_targets(bboxes, torch.arange(len(boxes)), cells, stride, BACKGROUND)
    for label, target, index in zip(labels, targets, slow(boxes, cells, stride), strict=True):
        if index is None:
            assert label == BACKGROUND
            assert target.tolist() == [0, 0, 0, 0]
        else:
            x1, y1, x2, y2 = boxes[index]
            # Of two that are equally large either will do; it must be the one of the box given.
            assert target.tolist() == [
                (boxes[label][0] + boxes[label][2]) / 2, (boxes[label][1] + boxes[label][3]) / 2,
                boxes[label][2] - boxes[label][0], boxes[label][3] - boxes[label][1]]
            assert target[2] * target[3] == (x2 - x1) * (y2 - y1)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_without_objects_all_is_background(dtype):
    labels, boxes = patch_targets(torch.zeros(0, 4, dtype=dtype), torch.zeros(0, dtype=torch.long),
                                  (2, 3), 8, BACKGROUND)
    assert labels.tolist() == [BACKGROUND] * 6
    assert boxes.shape == (6, 4)
    assert not boxes.any()
