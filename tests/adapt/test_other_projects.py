"""A project with a scope and registries of its own, as MMYOLO and MMPretrain are."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = '''
from mmdet.registry import MODELS as PARENT_OF_MMDET
from mmengine.registry import MODELS as PARENT_OF_ALL
from mmengine.registry import Registry

MODELS = Registry('model', parent={parent}, scope='lab', locations=['lab.models'])
'''
MODELS = '''
from torch import nn

from mmdet.models import FCOS, FCOSHead
from lab.registry import MODELS


@MODELS.register_module()
class LabNet(nn.Module):
    """Maps of strides 8, 16 and 32."""

    def __init__(self, width):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 8, 8)
        self.halve = nn.ModuleList(nn.Conv2d(width, width, 2, 2) for _ in range(2))

    def forward(self, x):
        maps = [self.stem(x)]
        for halve in self.halve:
            maps.append(halve(maps[-1]))
        return tuple(maps)


@MODELS.register_module()
class LabNeck(nn.Module):
    """Doubles the width of three maps."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, out_channels, 1) for width in in_channels)

    def forward(self, maps):
        return tuple(conv(x) for conv, x in zip(self.convs, maps))


@MODELS.register_module()
class LabDetector(FCOS):
    pass


@MODELS.register_module()
class LabHead(FCOSHead):
    """Its ranges are a default that no config writes."""

    def __init__(self, *args, regress_ranges=((-1, 64), (64, 128), (128, 1e8)), **kwargs):
        super().__init__(*args, regress_ranges=regress_ranges, **kwargs)
'''
CONFIG = '''
default_scope = 'lab'
custom_imports = dict(imports=['lab'], allow_failed_imports=False)
model = dict(
    type='LabDetector',
    data_preprocessor=dict(
        type='mmdet.DetDataPreprocessor', mean=[128.] * 3, std=[64.] * 3, pad_size_divisor=32),
    backbone=dict(type='LabNet', width=8),
    neck=dict(type='LabNeck', in_channels=[8, 8, 8], out_channels=16),
    bbox_head=dict(
        type='LabHead', num_classes={count}, in_channels=16, feat_channels=16, stacked_convs=1,
        strides=[8, 16, 32], norm_cfg=None,
        loss_cls=dict(type='mmdet.FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='mmdet.IoULoss'),
        loss_centerness=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True),
        bbox_coder=dict(type='mmdet.DistancePointBBoxCoder')),
    test_cfg=dict(nms_pre=50, score_thr=.05, nms=dict(type='nms', iou_threshold=.5),
                  max_per_img=10))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmdet.RandomFlip', prob=.5),
    dict(type='mmdet.PackDetInputs')
]
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmdet.CocoDataset', data_root={root!r}, data_prefix=dict(img='train2017/'),
        ann_file='annotations/instances_train2017.json', metainfo=dict(classes={classes}),
        pipeline=train_pipeline))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=.01))
default_hooks = dict(logger=dict(type='LoggerHook', interval=1))
'''


@pytest.fixture(params=['PARENT_OF_MMDET', 'PARENT_OF_ALL'])
def project(request, tmp_path):
    """A folder with the package ``lab`` and its config; registries have one parent or another."""
    (tmp_path / 'lab').mkdir()
    (tmp_path / 'lab/__init__.py').write_text('from lab import models\n')
    (tmp_path / 'lab/registry.py').write_text(REGISTRY.format(parent=request.param))
    (tmp_path / 'lab/models.py').write_text(MODELS)
    shapes = write_synthetic_shapes(tmp_path / 'shapes', 4, 0, (128, 96))
    ann = json.loads((shapes / 'annotations/instances_train2017.json').read_text())
    classes = tuple(item['name'] for item in ann['categories'])
    (tmp_path / 'stock.py').write_text(CONFIG.format(
        root=str(shapes) + '/', classes=classes, count=len(classes)))
    return tmp_path


BY_HAND = '''
_base_ = './stock.py'
custom_imports = dict(imports=['mmppvit', 'lab'], allow_failed_imports=False)
model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(
        _delete_=True, type='mmdet.PEViT', arch=dict(embed_dims=32, num_layers=1, num_heads=2),
        patch_size=16, grid=2),
    neck=[
        dict(type='mmdet.SimpleFeaturePyramid', in_channels=32, out_channels=8,
             scale_factors=(2., 1., .5), norm_cfg=None),
        dict(type='LabNeck', in_channels=[8, 8, 8], out_channels=16)],
    bbox_head=dict(strides=[4, 8, 16], regress_ranges=((-1, 32), (32, 64), (64, 1e8))))
pipeline = _base_.train_pipeline
pipeline.insert(-1, dict(type='mmdet.MixSubPatches', patch_size=16, grid=2))
train_dataloader = dict(dataset=dict(pipeline=pipeline))
custom_hooks = [dict(type='mmdet.StrideGuardHook')]
'''
TRAIN = textwrap.dedent('''
    import sys
    from mmengine.config import Config
    from mmengine.runner import Runner
    cfg = Config.fromfile(sys.argv[1])
    cfg.work_dir = sys.argv[2]
    Runner.from_cfg(cfg).train()
''')


def train(project, config, run_python):
    done = run_python('-c', TRAIN, str(project / config), str(project / 'work'), cwd=str(project))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def test_modules_resolve_by_custom_imports_alone(project):
    """MMEngine's runner in an interpreter that has imported nothing: the config says all."""
    (project / 'by_hand.py').write_text(BY_HAND)

    def fresh(*args, cwd):
        env = dict(os.environ, PYTHONPATH=os.pathsep.join([cwd, str(ROOT)]))
        return subprocess.run([sys.executable, *args], cwd=cwd, env=env, text=True,
                              capture_output=True, timeout=300)
    assert train(project, 'by_hand.py', fresh).count('Epoch(train)') == 2


def test_its_configs_are_adapted(project, run_python):
    """Defaults of the project's classes are divided, and what is added has its full name."""
    done = run_python('-m', 'mmppvit', 'adapt', 'stock.py', '--arch', 'tiny', '-o', 'made.py',
                      cwd=str(project), env={'PYTHONPATH': str(project)})
    assert done.returncode == 0, done.stderr
    text = (project / 'made.py').read_text()
    for piece in ("type='mmdet.PEViT'", "type='mmdet.MixSubPatches'", 'strides=[4, 8, 16]',
                  'regress_ranges=((-1, 32), (32, 64), (64, 100000000.0))',
                  "imports=['mmppvit', 'lab']", "type='mmdet.StrideGuardHook'"):
        assert piece in text
    assert train(project, 'made.py', run_python).count('Epoch(train)') == 2


def test_a_shuffled_detector_of_the_project(project, run_python):
    for args in (['keygen', 'owner.key'],
                 ['adapt', 'stock.py', '--scheme', 'mix+shuffle', '--key-file', 'owner.key',
                  '--arch', 'tiny', '-o', 'keyed.py']):
        done = run_python('-m', 'mmppvit', *args, cwd=str(project))
        assert done.returncode == 0, done.stderr
    text = (project / 'keyed.py').read_text()
    assert "type='mmdet.KeyedOrder'" in text
    assert "detector='LabDetector'" in text
    assert train(project, 'keyed.py', run_python).count('Epoch(train)') == 2
