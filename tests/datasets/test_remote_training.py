"""Training from a store is training from the folder, loss by loss."""
from __future__ import annotations

import pickle

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.fileio import exists, get, get_local_path, get_text, join_path, list_dir_or_file, put
from mmengine.registry import DefaultScope
from mmengine.runner import Runner, set_random_seed

from mmppvit.datasets.transforms import load_sealed
from mmppvit.encryption import Key
from mmppvit.sealed import Manifest, ManifestError, SealJob, pack_dataset, seal_dataset
from tests.models.tiny_detectors import model_config
from tests.stores import s3_server, uploaded

fsspec = pytest.importorskip('fsspec')
META_KEYS = ('img_id', 'ori_shape', 'img_shape', 'scale_factor')


@pytest.fixture(autouse=True)
def store():
    """fsspec's store in memory, empty again afterwards."""
    store = fsspec.filesystem('memory')
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield store
    store.store.clear()


@pytest.fixture(scope='module')
def packed(sealed_shapes, tmp_path_factory):
    out = tmp_path_factory.mktemp('packed') / 'train2017'
    pack_dataset(Manifest.load(sealed_shapes.folder('mix')), None, out, 20_000)
    return out


def _dataset(root, shapes, key_file=None, **kwargs) -> dict:
    pipeline = [dict(type='LoadSealedImage', **({'key_file': str(key_file)} if key_file else {})),
                dict(type='LoadSealedAnnotations', with_bbox=True),
                *([] if key_file else [dict(type='RandomFlip', prob=.5)]),
                dict(type='PackSealedInputs', meta_keys=META_KEYS)]
    return dict(type='SealedCocoDataset', data_root=str(root), metainfo=dict(
        classes=shapes.classes), pipeline=pipeline, **kwargs)


def _losses(root, shapes, work_dir, workers: int = 0, **kwargs) -> list[float]:
    """Of a few iterations of a tiny detector."""
    model = model_config('ATSS')
    model.bbox_head.num_classes = len(shapes.classes)
    runner = Runner.from_cfg(Config(dict(
        default_scope='mmdet', work_dir=str(work_dir), model=model, randomness=dict(seed=0),
        train_dataloader=dict(
            batch_size=2, num_workers=workers, sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=_dataset(root, shapes, **kwargs)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3, val_interval=9),
        log_level='ERROR', experiment_name=f'{work_dir.name}', custom_hooks=[],
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-2)),
        default_hooks=dict(checkpoint=None, logger=dict(type='LoggerHook', interval=1)),
        log_processor=dict(by_epoch=False, window_size=1))))
    set_random_seed(0)
    runner.train()
    return [value for value, _ in zip(*runner.message_hub.get_scalar('train/loss').data,
                                      strict=True)]


def test_the_same_losses_from_memory(sealed_shapes, packed, tmp_path):
    folder = sealed_shapes.folder('mix')
    expected = _losses(folder, sealed_shapes, tmp_path / 'folder')
    assert len(set(expected)) == 3
    for kind, root in (('store', folder), ('packed', packed)):
        url = f'memory://bucket/{kind}'
        uploaded(root, url)
        assert _losses(url, sealed_shapes, tmp_path / kind) == expected


def test_the_same_losses_from_s3(sealed_shapes, packed, tmp_path, monkeypatch):
    """Also with workers, which inherit an fsspec that has threads."""
    folder = sealed_shapes.folder('mix')
    with s3_server(monkeypatch) as options:
        expected = _losses(folder, sealed_shapes, tmp_path / 'folder')
        args = dict(backend='fsspec', **options)
        uploaded(folder, 's3://bucket/sealed/train2017', options)
        manifest = pack_dataset(Manifest.load(folder), None,
                                load_sealed.as_place('s3://bucket/packed', args), 20_000)
        assert manifest.missing_files() == []
        assert _losses('s3://bucket/sealed', sealed_shapes, tmp_path / 's3', sealed='train2017',
                       backend_args=args) == expected
        assert _losses('s3://bucket/packed', sealed_shapes, tmp_path / 's3-packed', workers=1,
                       backend_args=args) == expected


def test_an_image_that_changes_in_the_store_is_not_trained_on(sealed_shapes, packed, store):
    uploaded(packed, 'memory://bucket/set')
    dataset = DATASETS.build(_dataset('memory://bucket/set', sealed_shapes))
    assert dataset[0]['inputs'].numel()
    for name in [name for name in store.store if name.endswith('.tar')]:
        content = bytearray(store.store[name].getvalue())
        content[700:] = bytes(len(content) - 700)
        store.pipe_file(name, bytes(content))
    with pytest.raises(ManifestError, match='not what was sealed'):
        dataset[0]


def test_keys_sealed_metadata_and_lookups(sealed_shapes, tmp_path, store, monkeypatch):
    """A key opens metadata there as well; a store is not asked for the manifest at each image."""
    seal_dataset(SealJob(
        sealed_shapes.plain / 'train2017', tmp_path / 'set',
        Manifest.load(sealed_shapes.folder('mix+shuffle')).scheme,
        sealed_shapes.plain / 'annotations/instances_train2017.json',
        key=Key.load(sealed_shapes.key_file), seal_metadata=True))
    uploaded(tmp_path / 'set', 'memory://bucket/hidden')
    with pytest.raises(ManifestError, match='key_file'):
        DATASETS.build(_dataset('memory://bucket/hidden', sealed_shapes))
    Key.create(tmp_path / 'other.key')
    with pytest.raises(ManifestError, match='name the key file it was sealed with'):
        DATASETS.build(_dataset('memory://bucket/hidden', sealed_shapes, tmp_path / 'other.key'))
    dataset, local = (DATASETS.build(_dataset(root, sealed_shapes, sealed_shapes.key_file))
                      for root in ('memory://bucket/hidden', tmp_path / 'set'))
    dataset = pickle.loads(pickle.dumps(dataset))
    monkeypatch.setattr(type(store), 'info', lambda *args, **kwargs: 1 / 0)
    for index in range(len(dataset)):
        torch.manual_seed(0)
        sample = dataset.prepare_data(index)
        torch.manual_seed(0)
        assert sample['inputs'].shape == local.prepare_data(index)['inputs'].shape


def test_the_loader_finds_the_manifest_by_itself(sealed_shapes):
    uploaded(sealed_shapes.folder('mix'), 'memory://bucket/a/set')
    manifest = Manifest.load(sealed_shapes.folder('mix'))
    load = load_sealed.LoadSealedImage(backend_args=dict(backend='fsspec'))
    for image in manifest.images[:2]:
        found = load({'img_path': f'memory://bucket/a/set/{image.file}'})
        assert (found['img'] == manifest.decode(image)).all()
    dataset = DATASETS.build(_dataset('simplecache::memory://bucket/a/set', sealed_shapes))
    assert dataset[0]['inputs'].shape == (3, 48, 64)  # two stores, one in front of the other
    with pytest.raises(ManifestError, match='not part of a sealed data set'):
        load({'img_path': 'memory://bucket/b/image.png'})


def test_plain_data_sets_and_files(sealed_shapes, store):
    """MMEngine's functions, and with them every data set and loader of MMDetection."""
    uploaded(sealed_shapes.plain, 'memory://bucket/plain')
    dataset = DATASETS.build(dict(
        type='CocoDataset', data_root='memory://bucket/plain', data_prefix=dict(img='train2017'),
        ann_file='annotations/instances_train2017.json', backend_args=dict(backend='fsspec'),
        metainfo=dict(classes=sealed_shapes.classes),
        pipeline=[dict(type='LoadImageFromFile', backend_args=dict(backend='fsspec'))]))
    assert dataset[0]['img'].shape == (96, 128, 3)
    checked = DATASETS.build(dict(
        type='CheckedCocoDataset', data_root='memory://bucket/plain',
        data_prefix=dict(img='train2017'), ann_file='annotations/instances_train2017.json',
        metainfo=dict(classes=sealed_shapes.classes), pipeline=[dict(type='LoadImageFromFile')]))
    assert (checked[0]['img'] == dataset[0]['img']).all()
    put(b'abc', join_path('memory://bucket', 'a', 'b.txt'))
    assert get('memory://bucket/a/b.txt') == b'abc'
    assert get_text('memory://bucket/a/b.txt') == 'abc'
    assert exists('memory://bucket/a')
    assert exists('memory://bucket/a/b.txt')
    assert not exists('memory://bucket/c')
    assert list(list_dir_or_file('memory://bucket/a')) == ['b.txt']
    assert list(list_dir_or_file('memory://bucket', list_dir=False)) == []
    assert 'plain' in list_dir_or_file('memory://bucket', list_file=False)  # has folders only
    with get_local_path('memory://bucket/a/b.txt') as path, open(path) as file:
        assert file.read() == 'abc'
