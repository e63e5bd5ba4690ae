"""Adapted configs train as those that were written by hand: the same losses to the digit.

MMPPVIT_ALL_LOSSES=1 runs all six for two epochs; else two of them for one.
"""
from __future__ import annotations

import os
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmppvit.adapt import adapt_config
from mmppvit.adapt.adaptation import load_stock
from mmppvit.adapt.config_changes import walk_dicts
from mmppvit.adapt.support_runs import ARCH

ALL = bool(os.environ.get('MMPPVIT_ALL_LOSSES'))
STOCK = dict(
    retinanet='retinanet/retinanet_r50_fpn_1x_coco',
    fcos='fcos/fcos_r50-caffe_fpn_gn-head_1x_coco',
    atss='atss/atss_r50_fpn_1x_coco',
    faster_rcnn='faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    foveabox='foveabox/fovea_r50_fpn_4xb4-1x_coco',
    detr='detr/detr_r50_8xb2-150e_coco')
CHOSEN = list(STOCK) if ALL else ['fcos', 'faster_rcnn']
IMAGES, BATCH, EPOCHS = (8, 2, 2) if ALL else (4, 2, 1)
PIPELINE = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(160, 128), keep_ratio=True), dict(type='RandomFlip', prob=.5),
    dict(type='PackDetInputs')]


class _Losses(Hook):
    """All losses of every iteration."""

    def __init__(self) -> None:
        self.found: list[dict] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.found.append({name: float(value) for name, value in outputs.items()})


def on_bccd(cfg: Config, bccd: Path, work_dir: Path) -> Config:
    """A few images of BCCD, and no validation."""
    cfg.train_dataloader = dict(
        batch_size=BATCH, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            type='CocoDataset', data_root=str(bccd), ann_file='annotations/instances_train.json',
            data_prefix=dict(img='images/'), indices=IMAGES,
            metainfo=dict(classes=('RBC', 'WBC', 'Platelets')),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=cfg.train_dataloader.dataset.pipeline))
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=EPOCHS)
    for split in ('val', 'test'):
        for part in ('dataloader', 'evaluator', 'cfg'):
            cfg[f'{split}_{part}'] = None
    cfg.update(work_dir=str(work_dir), randomness=dict(seed=0), default_scope='mmdet')
    cfg.default_hooks.checkpoint = None
    return cfg


def train(cfg: Config) -> list[dict]:
    losses = _Losses()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(losses)
    runner.train()
    return losses.found


@pytest.mark.parametrize('name', CHOSEN)
def test_the_same_losses(name, bccd, tmp_path):
    stock = load_stock(f'mmdet::{STOCK[name]}.py')
    stock.train_dataloader.dataset.pipeline = PIPELINE
    for _, node in walk_dicts(stock.model):
        if node.get('num_classes') == 80:
            node['num_classes'] = 3
    adapted = train(adapt_config(on_bccd(stock, bccd, tmp_path / 'a'), arch=ARCH))
    by_hand = Config.fromfile(Path(__file__).parent / f'by_hand/{name}.py')
    expected = train(on_bccd(by_hand, bccd, tmp_path / 'b'))
    assert len(adapted) == IMAGES // BATCH * EPOCHS
    assert adapted == expected
    assert len({losses['loss'] for losses in adapted}) == len(adapted)  # it does learn
