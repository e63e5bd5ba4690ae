"""Losses of the patches: what they are, and what they leave alone."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from torch.nn import functional

DIMS, CLASSES, STRIDE = 16, 3, 8
COSTS = [dict(type='ClassificationCost', weight=1.),
         dict(type='BBoxL1Cost', weight=5., box_format='xywh'),
         dict(type='IoUCost', iou_mode='giou', weight=2.)]


def head(**kwargs):
    torch.manual_seed(0)
    return MODELS.build(dict(
        type='mmdet.YOLOSHead', num_classes=CLASSES, embed_dims=DIMS,
        train_cfg=dict(assigner=dict(type='mmdet.HungarianAssigner', match_costs=[
            dict(cost, type=f'mmdet.{cost["type"]}') for cost in COSTS])), **kwargs))


def sample(shape: tuple[int, int], boxes: list, labels: list) -> DetDataSample:
    out = DetDataSample(metainfo=dict(img_shape=shape))
    out.gt_instances = InstanceData(bboxes=torch.tensor(boxes).float().reshape(-1, 4),
                                    labels=torch.tensor(labels, dtype=torch.long))
    return out


def batch():
    torch.manual_seed(1)
    samples = [sample((16, 24), [[1, 1, 14, 15], [9, 2, 23, 12]], [2, 0]), sample((24, 16), [], [])]
    return torch.randn(1, 2, 5, DIMS), samples, [torch.randn(2, 3, DIMS), torch.randn(3, 2, DIMS)]


def test_as_written_out():
    yolos = head(patch_loss_weight=.5)
    hidden, samples, patches = batch()
    losses = yolos.loss(hidden, samples, patches, STRIDE)
    # Middles of the first image: x 4, 12, 20; y 4, 12. The second box is smaller.
    labels = torch.tensor([2, 0, 0, 2, 2, 3] + [3] * 6)
    boxes = torch.tensor([[1., 1, 14, 15], [9, 2, 23, 12], [9, 2, 23, 12], [1, 1, 14, 15],
                          [1, 1, 14, 15]])
    logits, found = yolos(torch.cat([tokens.flatten(0, 1) for tokens in patches])[None])
    weights = torch.tensor([1., 1, 1, .1])
    expected = functional.cross_entropy(logits[0], labels, weights)  # over the sum of weights
    assert losses['patch_loss_cls'].item() == pytest.approx(.5 * expected.item(), rel=1e-5)

    size = torch.tensor([24., 16, 24, 16])
    found = found[0][:5] * size
    centers = torch.cat((boxes[:, :2] + boxes[:, 2:], 2 * (boxes[:, 2:] - boxes[:, :2])), 1) / 2
    expected = 5 * ((found - centers) / size).abs().sum() / 5
    assert losses['patch_loss_bbox'].item() == pytest.approx(.5 * expected.item(), rel=1e-5)
    corners = torch.cat((found[:, :2] - found[:, 2:] / 2, found[:, :2] + found[:, 2:] / 2), 1)
    overlap = bbox_overlaps(corners, boxes, mode='giou', is_aligned=True)
    expected = 2 * (1 - overlap).mean()
    assert losses['patch_loss_iou'].item() == pytest.approx(.5 * expected.item(), rel=1e-5)


def test_the_detection_tokens_have_the_losses_they_have_without():
    hidden, samples, patches = batch()
    alone = head().loss(hidden, samples)
    both = head(patch_loss_weight=1.).loss(hidden, samples, patches, STRIDE)
    assert set(both) - set(alone) == {'patch_loss_cls', 'patch_loss_bbox', 'patch_loss_iou'}
    assert all(both[name] == alone[name] for name in alone)
    assert not any(name.startswith('patch') for name in head().loss(hidden, samples, patches, 8))


def test_no_objects_no_boxes_and_gradients_all_the_same():
    yolos = head(patch_loss_weight=1.)
    hidden, samples, patches = batch()
    losses = yolos.loss(hidden[:, 1:], samples[1:], patches[1:], STRIDE)
    assert losses['patch_loss_bbox'] == losses['patch_loss_iou'] == 0
    assert losses['patch_loss_cls'] > 0
    sum(losses.values()).backward()  # DDP asks for a gradient of every parameter
    assert all(p.grad is not None for p in yolos.parameters())
