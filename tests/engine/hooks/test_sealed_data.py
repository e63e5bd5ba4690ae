"""The model must fit the seal, which is checked before the first iteration."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmdet.registry import DATASETS, MODELS
from mmengine.registry import DefaultScope

from mmppvit.engine import SealedDataHook

PIPELINE = [dict(type='LoadSealedImage'),
            dict(type='LoadSealedAnnotations', with_bbox=True), dict(type='PackSealedInputs')]


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def _detector(keyed: bool, patch_size: int = 16, grid: int = 2):
    kind = dict(type='KeyedOrder', detector='SingleStageDetector') if keyed else \
        dict(type='SingleStageDetector')
    return MODELS.build(dict(
        **kind,
        backbone=dict(type='PEViT', patch_size=patch_size, grid=grid,
                      arch=dict(embed_dims=8, num_layers=1, num_heads=1)),
        neck=dict(type='SimpleFeaturePyramid', in_channels=8, out_channels=8,
                  scale_factors=(1., )),
        bbox_head=dict(type='ATSSHead', num_classes=2, in_channels=8, feat_channels=8,
                       stacked_convs=1, norm_cfg=dict(type='GN', num_groups=2),
                       loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True),
                       anchor_generator=dict(type='AnchorGenerator', ratios=[1.], scales=[4],
                                             strides=[8]),
                       bbox_coder=dict(type='DeltaXYWHBBoxCoder'))))


def _dataset(shapes, scheme: str) -> dict:
    pipeline = [dict(step) for step in PIPELINE]
    if 'shuffle' in scheme:
        pipeline[0]['key_file'] = str(shapes.key_file)
    return dict(type='SealedCocoDataset', data_root=str(shapes.folder(scheme)), pipeline=pipeline,
                metainfo=dict(classes=shapes.classes))


def _runner(dataset: dict, model) -> SimpleNamespace:
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=DATASETS.build(dataset)))
    return SimpleNamespace(model=model, train_loop=loop, val_loop=loop, test_loop=loop)


@pytest.mark.parametrize('moment', ['before_train', 'before_val', 'before_test'])
@pytest.mark.parametrize(('scheme', 'keyed'), [('mix', False), ('mix+shuffle', True)])
def test_what_fits_passes(sealed_shapes, scheme, keyed, moment):
    getattr(SealedDataHook(), moment)(_runner(_dataset(sealed_shapes, scheme), _detector(keyed)))


MISFITS = [
    ('mix', dict(keyed=False, grid=1), 'patch_size=16, grid=2, and the backbone is set to '
     'patch_size=16, grid=1'),
    ('mix', dict(keyed=False, patch_size=32, grid=4), 'patch_size=32, grid=4'),
    ('mix', dict(keyed=True), "not shuffled .* 'KeyedOrder'"),
    ('mix+shuffle', dict(keyed=False), "type='KeyedOrder', detector='SingleStageDetector'"),
]


@pytest.mark.parametrize(('scheme', 'model', 'message'), MISFITS)
def test_what_does_not_fit_is_an_error(sealed_shapes, scheme, model, message):
    runner = _runner(_dataset(sealed_shapes, scheme), _detector(**model))
    with pytest.raises(ValueError, match=message):
        SealedDataHook().before_train(runner)


def test_wrapped_data_sets_are_looked_into(sealed_shapes):
    part = _dataset(sealed_shapes, 'mix')
    wrapped = dict(type='RepeatDataset', times=2, dataset=dict(
        type='ConcatDataset', datasets=[part, part]))
    with pytest.raises(ValueError, match='grid=1'):
        SealedDataHook().before_train(_runner(wrapped, _detector(False, grid=1)))


def test_steps_of_mixing_wrappers_are_checked(sealed_shapes):
    wrapped = dict(type='MultiImageMixDataset', dataset=_dataset(sealed_shapes, 'mix'),
                   pipeline=[dict(type='Mosaic', img_scale=(64, 64))])
    with pytest.raises(ValueError, match='use PatchAlignedMosaic'):
        SealedDataHook().before_train(_runner(wrapped, _detector(False)))
