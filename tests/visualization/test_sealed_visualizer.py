"""Boxes of the plain frame, drawn where they belong on a sealed image."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmppvit.encryption import shuffle_patches
from mmppvit.visualization.sealed_visualizer import SealedDetLocalVisualizer


@pytest.fixture
def visualizer(monkeypatch):
    made = SealedDetLocalVisualizer(line_width=1)
    made.dataset_meta = dict(classes=('thing', ), palette=[(255, 0, 0)])
    seen = []
    monkeypatch.setattr(made, '_draw_instances',
                        lambda image, instances, *_: seen.append((image, instances)) or image)
    made.seen = seen
    return made


def _sample(**meta) -> DetDataSample:
    sample = DetDataSample(metainfo=dict(
        img_shape=(48, 64), ori_shape=(120, 160), scale_factor=(.375, .375), **meta))
    masks = torch.zeros(1, 120, 160, dtype=torch.bool)
    masks[0, 40:80, 80:120] = True
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[80., 40., 120., 80.]]), scores=torch.tensor([.9]),
        labels=torch.tensor([0]), masks=masks)
    return sample


SEAL = dict(scaled_shape=(90, 120), patch_size=16, grid=2)


def test_boxes_and_masks_follow_to_the_sealed_frame(visualizer):
    sample = _sample(sealed=SEAL)
    image = np.zeros((48, 64, 3), np.uint8)
    visualizer.add_datasample('a', image, sample, draw_gt=False)
    _, instances = visualizer.seen[0]
    np.testing.assert_allclose(instances.bboxes, [[30, 15, 45, 30]])
    assert instances.masks.shape == (1, 48, 64)
    rows, cols = torch.nonzero(instances.masks[0]).T
    assert abs(int(rows.min()) - 15) <= 1
    assert abs(int(cols.max()) - 44) <= 1
    np.testing.assert_allclose(sample.pred_instances.bboxes, [[80, 40, 120, 80]])


def test_the_layout_of_a_shuffled_image_is_restored(visualizer):
    rng = np.random.default_rng(0)
    layout = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    order = rng.permutation(48)
    visualizer.add_datasample('a', shuffle_patches(layout, 8, order),
                              _sample(sealed=SEAL, patch_order=order), draw_gt=False)
    np.testing.assert_array_equal(visualizer.seen[0][0], layout)


@pytest.mark.parametrize('meta', [{}, dict(sealed=SEAL)])
def test_images_in_the_plain_frame_are_drawn_as_ever(visualizer, meta):
    image = np.zeros((120, 160, 3), np.uint8)
    visualizer.add_datasample('a', image, _sample(**meta), draw_gt=False)
    np.testing.assert_allclose(visualizer.seen[0][1].bboxes, [[80, 40, 120, 80]])
