"""The detectors of ``configs/coco``, small, and batches of shuffled images made by hand."""
from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData
from torch import nn

import mmppvit.register  # noqa: F401

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/coco'
STRIDE = 8
SHAPES = [(32, 64), (56, 40)]  # pixels of mixed images; the batch is 56x64
_FEW = {'test_cfg.rpn.max_per_img': 30, 'test_cfg.rcnn.max_per_img': 20,
        'train_cfg.rpn_proposal.max_per_img': 30, 'roi_head.bbox_head.fc_out_channels': 32}
OVERRIDES = dict(
    ATSS={'bbox_head.stacked_convs': 1},
    FasterRCNN=_FEW,
    MaskRCNN={**_FEW, 'roi_head.mask_head.num_convs': 1},
    DETR={'encoder.num_layers': 1, 'decoder.num_layers': 1})
FILES = dict(ATSS='atss_pevit-tiny_mix', FasterRCNN='faster-rcnn_pevit-small_mix',
             MaskRCNN='mask-rcnn_pevit-base_mix', DETR='detr_pevit-small_mix')


def model_config(name: str) -> ConfigDict:
    """``cfg.model`` of a detector, with a PEViT of two blocks."""
    cfg = Config.fromfile(str(CONFIGS / f'{FILES[name]}_coco.py'))
    cfg.merge_from_dict({f'model.{key}': value for key, value in OVERRIDES[name].items()})
    cfg.merge_from_dict(dict(model=dict(
        backbone=dict(arch=dict(_delete_=True, embed_dims=24, num_layers=2, num_heads=2)),
        neck=dict(in_channels=24))))
    for thresholds in (cfg.model.test_cfg, cfg.model.test_cfg.get('rcnn', {})):
        if 'score_thr' in thresholds:
            thresholds.score_thr = 0.  # without training nothing is sure of itself
    return cfg.model


def keyed(model: dict) -> ConfigDict:
    """The same detector with its two fields overridden, as a config does it."""
    return ConfigDict(model, type='KeyedOrder', detector=model['type'])


def build(model: dict, seed: int = 0) -> nn.Module:
    """In evaluation mode, with a backbone whose tokens differ clearly."""
    torch.manual_seed(seed)
    detector = MODELS.build(dict(copy.deepcopy(model), _scope_='mmdet')).eval()
    for param in detector.backbone.parameters():
        nn.init.normal_(param, std=.2)
    return detector


def shuffle_patches(img: np.ndarray, order: np.ndarray, side: int = STRIDE) -> np.ndarray:
    """``shuffled[k] = plain[order[k]]``, patch by patch, of (H, W, C)."""
    cols = img.shape[1] // side
    out = np.empty_like(img)
    for k, source in enumerate(order):
        (y, x), (sy, sx) = divmod(k, cols), divmod(source, cols)
        out[y * side:(y + 1) * side, x * side:(x + 1) * side] = \
            img[sy * side:(sy + 1) * side, sx * side:(sx + 1) * side]
    return out


def images(seed: int = 0) -> list[np.ndarray]:
    """(H, W, 3) uint8 of ``SHAPES``."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in SHAPES]


def orders(seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(h * w // STRIDE**2) for h, w in SHAPES]


def metainfo(img: np.ndarray, order: np.ndarray | None = None) -> dict:
    """What a pipeline packs of a mixed image of grid 2."""
    height, width = img.shape[:2]
    meta = dict(img_shape=(height, width), ori_shape=(2 * height, 2 * width),
                scale_factor=(.5, .5))
    return meta if order is None else dict(meta, patch_order=order)


def batch(imgs: list[np.ndarray], img_orders: list | None = None) -> dict:
    """Output of a data loader: two objects in every image, and maybe its order."""
    samples = []
    for img, order in zip(imgs, img_orders or [None] * len(imgs), strict=True):
        sample = DetDataSample(metainfo=metainfo(img, order))
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[2., 3, 20, 24], [9, 8, 38, 30]]), labels=torch.tensor([1, 0]))
        samples.append(sample)
    inputs = [torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1))) for img in imgs]
    return dict(inputs=inputs, data_samples=samples)


def run(detector: nn.Module, data: dict, mode: str):
    """As ``train_step`` and ``test_step`` do it; random draws are the same in every run."""
    torch.manual_seed(0)
    data = detector.data_preprocessor(copy.deepcopy(data), False)
    with torch.set_grad_enabled(mode == 'loss'):
        return detector(**data, mode=mode)


def assert_same_predictions(found: list, expected: list, **tolerance) -> None:
    tolerance = tolerance or dict(rtol=1e-4, atol=1e-4)
    for one, other in zip(found, expected, strict=True):
        one, other = one.pred_instances, other.pred_instances
        assert len(other) > 0
        for key in ('scores', 'bboxes', 'labels'):
            torch.testing.assert_close(one[key], other[key], **tolerance)
        if 'masks' in other:
            assert (one.masks == other.masks).float().mean() > .999
