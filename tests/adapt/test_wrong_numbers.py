"""Each number of the wrong frame is one error before the second iteration."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmppvit.adapt import adapt_config
from mmppvit.adapt.support_runs import ARCH
from mmppvit.engine import StrideGuardHook

RETINANET = 'retinanet/retinanet_r50_fpn_1x_coco'
FCOS = 'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco'
FASTER = 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco'
FOVEA = 'foveabox/fovea_r50_fpn_4xb4-1x_coco'
SOLO = 'solo/solo_r50_fpn_1x_coco'
STOCK_STRIDES = [8, 16, 32, 64, 128]


@pytest.fixture
def adapted(small_stock):
    return lambda name: adapt_config(small_stock(name), arch=ARCH)


def first_iteration(cfg: Config, hook: StrideGuardHook) -> torch.nn.Module:
    """What a runner does up to the end of the first iteration."""
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    model = MODELS.build(cfg.model)
    runner = SimpleNamespace(
        model=model, train_loop=SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset)))
    hook.before_train(runner)
    batch = pseudo_collate([dataset[0], dataset[1]])
    model(**model.data_preprocessor(batch, True), mode='loss')
    hook.after_train_iter(runner, 0, batch)
    return model


def mix_of(cfg: Config) -> dict:
    return next(step for step in cfg.train_dataloader.dataset.pipeline
                if step['type'] == 'MixSubPatches')


def wrong_patch(cfg):
    mix_of(cfg)['patch_size'] = 32


def wrong_grid(cfg):
    mix_of(cfg)['grid'] = 4


def no_mixing(cfg):
    steps = cfg.train_dataloader.dataset.pipeline
    steps.remove(mix_of(cfg))


def resized_after_mixing(cfg):
    cfg.train_dataloader.dataset.pipeline.insert(
        -1, dict(type='Resize', scale=(256, 160), keep_ratio=True))


def resized_batches(cfg):
    cfg.model.data_preprocessor.batch_augments = [
        dict(type='BatchSyncRandomResize', random_size_range=(64, 128), size_divisor=32)]


CASES = [
    (RETINANET, 'model.bbox_head.anchor_generator.strides', STOCK_STRIDES,
     r'anchor_generator.strides is \[8, 16, 32, 64, 128\].*\[4, 8, 16, 32, 64\]'),
    (FCOS, 'model.bbox_head.strides', STOCK_STRIDES,
     r'bbox_head.(strides is|regress_ranges is)'),
    (FCOS, 'model.bbox_head.regress_ranges',
     ((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8)),
     r'regress_ranges is .* 16 pixels per stride, where MMDetection has 8.*by 0.5'),
    (FOVEA, 'model.bbox_head.base_edge_list', [16, 32, 64, 128, 256], 'base_edge_list'),
    (FOVEA, 'model.bbox_head.scale_ranges',
     ((1, 64), (32, 128), (64, 256), (128, 512), (256, 2048)), 'scale_ranges'),
    (FASTER, 'model.rpn_head.anchor_generator.strides', [4, 8, 16, 32, 64],
     r'rpn_head.anchor_generator.strides is \[4'),
    (FASTER, 'model.roi_head.bbox_roi_extractor.featmap_strides', [4, 8, 16, 32],
     'featmap_strides is'),
    (FASTER, 'model.roi_head.bbox_roi_extractor.finest_scale', 56,
     'finest_scale is 56 .* by 0.5'),
    ('yolox/yolox_s_8xb8-300e_coco', 'model.bbox_head.strides', (8, 16, 32),
     r'strides is \[8, 16, 32\].*\[4, 8, 16\]'),
    ('rtmdet/rtmdet_tiny_8xb32-300e_coco', 'model.bbox_head.anchor_generator.strides',
     [8, 16, 32], r'strides is \[8, 16, 32\]'),
    ('reppoints/reppoints-moment_r50_fpn_1x_coco', 'model.bbox_head.point_strides',
     STOCK_STRIDES, r'point_strides is \[8'),
    (SOLO, 'model.mask_head.strides', [8, 8, 16, 32, 32], r'strides is \[8, 8'),
    (SOLO, 'model.mask_head.scale_ranges',
     ((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048)), 'scale_ranges'),
    ('yolof/yolof_r50-c5_8xb8-1x_coco', 'model.bbox_head.anchor_generator.strides', [32],
     r'strides is \[32\].*\[16\]'),
    (RETINANET, 'model.neck.num_outs', 4, 'has 5 strides.*gets 4 maps'),
    (RETINANET, 'model.neck.in_channels', 192, '64 channels and model.neck.in_channels is 192'),
    (RETINANET, 'model.data_preprocessor.pad_size_divisor', 4, 'pad_size_divisor is 4'),
    (RETINANET, 'data', wrong_patch, 'patch_size=32 and model.backbone has patch_size=16'),
    (RETINANET, 'data', wrong_grid, 'grid=4 and model.backbone has grid=2'),
    (RETINANET, 'data', no_mixing, 'no step that mixes, and model.backbone.grid is 2'),
    (RETINANET, 'data', resized_after_mixing, 'Resize in train_dataloader comes after'),
    (RETINANET, 'data', resized_batches, 'BatchSyncRandomResize .* resizes encrypted'),
]


@pytest.mark.parametrize(('name', 'path', 'value', 'message'), CASES,
                         ids=[f'{i}-{case[1].rsplit(".", 1)[-1]}' for i, case in enumerate(CASES)])
def test_a_wrong_number_is_caught(name, path, value, message, adapted):
    cfg = adapted(name)
    if callable(value):
        value(cfg)
    else:
        cfg.merge_from_dict({path: value})
    with pytest.raises(ValueError, match=message):
        first_iteration(cfg, StrideGuardHook())


def test_right_numbers_pass_and_the_hook_lets_go(adapted):
    hook = StrideGuardHook()
    model = first_iteration(adapted(FCOS), hook)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert hook._handles == []


def test_what_is_meant_so_can_be_said(adapted):
    cfg = adapted(FCOS)
    cfg.model.bbox_head.regress_ranges = ((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8))
    first_iteration(cfg, StrideGuardHook(ignore=('regress_ranges', )))


@pytest.fixture
def warnings(monkeypatch):
    """What the guard logs."""
    texts = []
    monkeypatch.setattr('mmppvit.engine.hooks.stride_guard.print_log',
                        lambda text, **_: texts.append(text))
    return texts


def test_statistics_are_warned_of(adapted, warnings):
    cfg = adapted(RETINANET)
    cfg.model.data_preprocessor.update(mean=[20., 20., 20.], std=[10., 10., 10.])
    first_iteration(cfg, StrideGuardHook())
    text, = warnings
    assert 'set model.data_preprocessor.mean=[' in text
    mean = [float(x) for x in text.split('.mean=[')[1].split(']')[0].split(',')]
    assert all(40 < value < 180 for value in mean)


def test_usual_statistics_are_not(adapted, warnings):
    first_iteration(adapted(RETINANET), StrideGuardHook())
    assert not warnings


def test_a_runner_stops_before_the_second_iteration(adapted, tmp_path):
    cfg = adapted(FCOS)
    cfg.model.bbox_head.regress_ranges = ((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8))
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False, batch_size=1)
    cfg.update(work_dir=str(tmp_path), val_cfg=None, val_dataloader=None, val_evaluator=None,
               test_cfg=None, test_dataloader=None, test_evaluator=None)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match='regress_ranges'):
        runner.train()
    assert runner.iter == 0
