"""Whoever has the key trains from sealed metadata; boxes are on the disk for nobody."""
from __future__ import annotations

import json
import shutil
import tempfile

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, METRICS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

import mmppvit.sealed.manifest as manifest_module
from mmppvit.encryption import Key
from mmppvit.sealed import ANNOTATIONS, Manifest, ManifestError, SealJob, seal_dataset
from tests.models.tiny_detectors import model_config

META_KEYS = ('img_id', 'ori_shape', 'img_shape', 'scale_factor')


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture(scope='module')
def hidden(sealed_shapes, tmp_path_factory):
    """``{train,val}2017`` with sealed metadata, in the schemes with a key and without."""
    root = tmp_path_factory.mktemp('hidden')
    for scheme in ('mix', 'mix+shuffle'):
        for split in ('train2017', 'val2017'):
            seal_dataset(SealJob(
                sealed_shapes.plain / split, root / scheme / split,
                Manifest.load(sealed_shapes.folder('mix+shuffle')).scheme
                if scheme == 'mix+shuffle' else Manifest.load(sealed_shapes.folder('mix')).scheme,
                sealed_shapes.plain / f'annotations/instances_{split}.json',
                key=Key.load(sealed_shapes.key_file), seal_metadata=True))
    return root


def _dataset(root, shapes, key_file=None, split='train2017', **kwargs) -> dict:
    pipeline = [dict(type='LoadSealedImage', **({'key_file': str(key_file)} if key_file else {})),
                dict(type='LoadSealedAnnotations', with_bbox=True),
                dict(type='PackSealedInputs', meta_keys=META_KEYS)]
    return dict(type='SealedCocoDataset', data_root=str(root), sealed=split,
                metainfo=dict(classes=shapes.classes), pipeline=pipeline, **kwargs)


@pytest.mark.parametrize('scheme', ['mix', 'mix+shuffle'])
def test_the_same_samples_as_from_an_open_json(hidden, sealed_shapes, scheme):
    key_file = sealed_shapes.key_file
    own = DATASETS.build(_dataset(hidden / scheme, sealed_shapes, key_file))
    reference = DATASETS.build(_dataset(
        sealed_shapes.root / scheme, sealed_shapes, key_file if 'shuffle' in scheme else None))
    assert len(own) == len(reference)
    others = {sample.img_id: sample for sample in
              (reference[i]['data_samples'] for i in range(len(reference)))}
    for i in range(len(own)):
        sample = own[i]['data_samples']
        other = others.pop(sample.img_id)
        assert torch.equal(sample.gt_instances.bboxes.tensor, other.gt_instances.bboxes.tensor)
        assert torch.equal(sample.gt_instances.labels, other.gt_instances.labels)
        assert sample.ori_shape == other.ori_shape
        assert sample.scale_factor == other.scale_factor
    assert not others
    assert not (hidden / scheme / 'train2017' / ANNOTATIONS).exists()


@pytest.mark.parametrize('scheme', ['mix', 'mix+shuffle'])
def test_nothing_is_read_without_the_key(hidden, sealed_shapes, scheme, tmp_path):
    with pytest.raises(ManifestError, match='key_file'):
        DATASETS.build(_dataset(hidden / scheme, sealed_shapes))
    Key.create(tmp_path / 'other.key')
    with pytest.raises(ManifestError, match='name the key file it was sealed with'):
        DATASETS.build(_dataset(hidden / scheme, sealed_shapes, tmp_path / 'other.key'))
    with pytest.raises(ManifestError, match='only the key opens it'):
        METRICS.build(dict(type='SealedCocoMetric', sealed=str(hidden / scheme / 'val2017')))


def test_the_json_is_read_once(sealed_shapes, tmp_path):
    """What was checked counts, also if the file is another one a moment later."""
    root = shutil.copytree(sealed_shapes.folder('mix').parent, tmp_path / 'mix')
    dataset = DATASETS.build(_dataset(root, sealed_shapes, lazy_init=True))
    path = root / 'train2017' / ANNOTATIONS
    path.write_text(path.read_text() + ' ')
    with pytest.raises(ManifestError, match='not what was sealed'):
        dataset.full_init()


def test_the_json_is_parsed_once(sealed_shapes, monkeypatch):
    """Its digest is looked at before; the parsed json goes to MMDetection as it is."""
    calls, parse = [], manifest_module.parse_json
    monkeypatch.setattr(manifest_module, 'parse_json',
                        lambda content: calls.append(len(content)) or parse(content))
    DATASETS.build(_dataset(sealed_shapes.root / 'mix', sealed_shapes))
    assert len(calls) == 1


def test_perfect_detections_are_perfect(hidden, sealed_shapes):
    metric = METRICS.build(dict(type='SealedCocoMetric', metric='bbox', key_file=str(
        sealed_shapes.key_file), sealed=str(hidden / 'mix/val2017')))
    metric.dataset_meta = dict(classes=sealed_shapes.classes)
    manifest = Manifest.load(hidden / 'mix/val2017')
    manifest.check_key(Key.load(sealed_shapes.key_file))
    data = manifest.read_annotations()
    labels = {item['id']: i for i, item in enumerate(data['categories'])}
    for image in data['images']:
        items = [item for item in data['annotations'] if item['image_id'] == image['id']]
        boxes = np.array([item['bbox'] for item in items], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        metric.process({}, [dict(
            img_id=image['id'], ori_shape=(image['height'], image['width']), pred_instances=dict(
                bboxes=torch.from_numpy(boxes), scores=torch.ones(len(items)),
                labels=torch.tensor([labels[item['category_id']] for item in items])))])
    assert metric.evaluate(len(data['images']))['coco/bbox_mAP'] == 1
    with pytest.raises(ValueError, match='leave ann_file out'):
        METRICS.build(dict(type='SealedCocoMetric', ann_file='x.json', sealed='x'))


def test_a_detector_trains_and_is_scored(hidden, sealed_shapes, tmp_path, monkeypatch):
    """No box gets to the disk, the folder for temporary files included."""
    (tmp_path / 'tmp').mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'tmp'))
    model = model_config('ATSS')
    model.bbox_head.num_classes = len(sealed_shapes.classes)
    key_file = sealed_shapes.key_file

    def loader(split: str, **kwargs) -> dict:
        return dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                    dataset=_dataset(hidden / 'mix', sealed_shapes, key_file, split, **kwargs))

    runner = Runner.from_cfg(Config(dict(
        default_scope='mmdet', work_dir=str(tmp_path / 'work'), model=model,
        train_dataloader=loader('train2017'), val_dataloader=loader('val2017', test_mode=True),
        val_evaluator=dict(type='SealedCocoMetric', metric='bbox', key_file=str(key_file),
                           sealed=str(hidden / 'mix/val2017')),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2),
        val_cfg=dict(type='ValLoop'), log_level='ERROR', experiment_name='sealed_metadata',
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3)),
        default_hooks=dict(checkpoint=None), log_processor=dict(by_epoch=False))))
    runner.train()
    assert 'val/coco/bbox_mAP' in runner.message_hub.log_scalars
    manifest = Manifest.load(hidden / 'mix/val2017')
    manifest.check_key(Key.load(key_file))
    boxes = [json.dumps(item['bbox']).encode()
             for item in manifest.read_annotations()['annotations']]
    written = [path for path in tmp_path.rglob('*') if path.is_file()]
    assert written
    assert not [path for path in written if any(box in path.read_bytes() for box in boxes)]
