"""Sealed data sets in MMDetection: the same batches as from plain images, or a plain no."""
from __future__ import annotations

import json
import pickle
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, TRANSFORMS
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import DefaultScope

from mmppvit.datasets import SealedCocoDataset
from mmppvit.encryption import Key, Scheme, unshuffle_patches
from mmppvit.sealed import Manifest, ManifestError, SealJob, pack_dataset, seal_dataset

FLIP = dict(type='RandomFlip', prob=[.25, .25, .25],
            direction=['horizontal', 'vertical', 'diagonal'])
LOAD = dict(type='LoadImageFromFile')
MIX = dict(type='MixSubPatches', patch_size=16, grid=2)
PACK = dict(type='PackSealedInputs')
UNSHUFFLE = dict(type='UnshufflePatches')


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def _annotations(kind: str, masks: bool) -> dict:
    return dict(type=kind, with_bbox=True, with_mask=masks)


def _sealed_pipeline(key_file=None, masks=True, between=(), test=False) -> list[dict]:
    load = dict(type='LoadSealedImage', **({'key_file': str(key_file)} if key_file else {}))
    kind = 'LoadAnnotations' if test else 'LoadSealedAnnotations'
    return [load, _annotations(kind, masks), *between, PACK]


def _build(shapes, scheme='mix', pipeline=None, root=None, split='train2017', **kwargs):
    return DATASETS.build(dict(
        type='SealedCocoDataset', data_root=str(root or shapes.root / scheme), sealed=split,
        metainfo=dict(classes=shapes.classes),
        pipeline=pipeline or _sealed_pipeline(), **kwargs))


def _plain(shapes, pipeline: list[dict], split='train2017'):
    return DATASETS.build(dict(
        type='CheckedCocoDataset', data_root=str(shapes.plain),
        ann_file=f'annotations/instances_{split}.json', data_prefix=dict(img=split),
        metainfo=dict(classes=shapes.classes), pipeline=pipeline))


def _item(dataset, index: int, seed: int = 0) -> dict:
    np.random.seed(seed)
    random.seed(seed)
    return dataset[index]


def _assert_same(one: dict, other: dict) -> None:
    assert torch.equal(one['inputs'], other['inputs'])
    a, b = one['data_samples'], other['data_samples']
    for name in ('ori_shape', 'img_shape', 'scale_factor', 'img_id'):
        assert a.get(name) == b.get(name), name
    assert torch.equal(a.gt_instances.bboxes.tensor, b.gt_instances.bboxes.tensor)
    assert torch.equal(a.gt_instances.labels, b.gt_instances.labels)
    np.testing.assert_array_equal(a.gt_instances.masks.masks, b.gt_instances.masks.masks)


@pytest.mark.parametrize('seed', range(4))
def test_training_items_equal_those_of_plain_images(sealed_shapes, seed):
    plain = _plain(sealed_shapes, [LOAD, _annotations('LoadAnnotations', True), FLIP, MIX, PACK])
    sealed = _build(sealed_shapes, pipeline=_sealed_pipeline(between=[FLIP]))
    assert len(plain) == len(sealed) == 6
    for index in range(6):
        # Turned masks differ where a sealed pixel has a border in it: boxes only with flips.
        one, other = _item(plain, index, seed), _item(sealed, index, seed)
        for item in (one, other):
            del item['data_samples'].gt_instances.masks
            item['data_samples'].gt_instances.masks = _empty_masks(item)
        _assert_same(one, other)


def _empty_masks(item: dict):
    count = len(item['data_samples'].gt_instances.labels)
    return BitmapMasks(np.zeros((count, 1, 1), np.uint8), 1, 1)


def test_masks_equal_those_of_plain_images(sealed_shapes):
    plain = _plain(sealed_shapes, [LOAD, _annotations('LoadAnnotations', True), MIX, PACK])
    sealed = _build(sealed_shapes)
    for index in range(6):
        _assert_same(plain[index], sealed[index])


@pytest.mark.parametrize('scheme', ['mix+shuffle', 'mix+center+shuffle'])
def test_shuffled_items_are_the_mixed_ones_in_another_order(sealed_shapes, scheme):
    steps = [LOAD, _annotations('LoadAnnotations', True), MIX]
    if 'center' in scheme:
        steps.append(dict(type='CenterPatches', strength=.75))
    plain = _plain(sealed_shapes, [*steps, PACK])
    sealed = _build(sealed_shapes, scheme, _sealed_pipeline(sealed_shapes.key_file))
    for index in range(3):
        one, other = plain[index], sealed[index]
        assert not torch.equal(one['inputs'], other['inputs'])
        order = other['data_samples'].patch_order
        back = unshuffle_patches(other['inputs'].permute(1, 2, 0).numpy(), 8, order)
        other['inputs'] = torch.from_numpy(back).permute(2, 0, 1)
        _assert_same(one, other)


def test_augmented_shuffled_items_have_a_new_order(sealed_shapes):
    """Unshuffle, flip, shuffle: what a flipped mixed image is, in an order of its own."""
    key_file = str(sealed_shapes.key_file)
    shuffle = dict(type='ShufflePatches', key_file=key_file, patch_size=16, grid=2)
    always = dict(type='RandomFlip', prob=1.)
    kept = _build(sealed_shapes, 'mix+shuffle', _sealed_pipeline(key_file))[0]
    again = _build(sealed_shapes, 'mix+shuffle', _sealed_pipeline(
        key_file, masks=False, between=[UNSHUFFLE, always, shuffle]))[0]
    flipped = _build(sealed_shapes, pipeline=_sealed_pipeline(masks=False, between=[always]))[0]
    order = again['data_samples'].patch_order
    assert not np.array_equal(order, kept['data_samples'].patch_order)
    back = unshuffle_patches(again['inputs'].permute(1, 2, 0).numpy(), 8, order)
    assert torch.equal(torch.from_numpy(back).permute(2, 0, 1), flipped['inputs'])
    assert torch.equal(again['data_samples'].gt_instances.bboxes.tensor,
                       flipped['data_samples'].gt_instances.bboxes.tensor)


def test_test_items_stay_in_the_plain_frame(sealed_shapes):
    item = _build(sealed_shapes, split='val2017', test_mode=True,
                  pipeline=_sealed_pipeline(test=True))[0]
    sample = item['data_samples']
    assert sample.ori_shape == (96, 128)
    assert sample.img_shape == (48, 64)
    assert sample.scale_factor == (.5, .5)
    anns = json.loads((sealed_shapes.plain / 'annotations/instances_val2017.json').read_text())
    x, y, w, h = anns['annotations'][0]['bbox']
    np.testing.assert_allclose(sample.gt_instances.bboxes.tensor[0], [x, y, x + w, y + h])


def test_several_scales(sealed_shapes, tmp_path):
    seal_dataset(SealJob(
        sealed_shapes.plain / 'val2017', tmp_path / 'val2017', Scheme('mix'),
        sealed_shapes.plain / 'annotations/instances_val2017.json',
        scales=((64, 48), (128, 96))))

    def build(scale):
        return _build(sealed_shapes, root=tmp_path, split='val2017', scale=scale)

    assert build('64x48')[0]['inputs'].shape[1:] == (24, 32)
    assert build('128x96')[0]['inputs'].shape[1:] == (48, 64)
    drawn = build('random')
    shapes = {tuple(_item(drawn, 0, seed)['inputs'].shape[1:]) for seed in range(20)}
    assert shapes == {(24, 32), (48, 64)}
    for wrong in (None, '96x96'):
        with pytest.raises(ValueError, match=r"was sealed at \['64x48', '128x96'\]"):
            build(wrong)


REFUSED = [
    ('mix', [dict(type='Resize', scale=(64, 48))], 'Resize cannot be used .* --scale'),
    ('mix', [dict(type='PhotoMetricDistortion')], 'use RandomAffineColor'),
    ('mix', [dict(type='RandomCrop', crop_size=(32, 32))], 'use PatchAlignedRandomCrop'),
    ('mix', [dict(type='RandomChoice', transforms=[[FLIP], [dict(type='RandomAffine')]])],
     'RandomAffine cannot'),
    ('mix', [MIX], 'MixSubPatches cannot .* encrypted already'),
    ('mix', [dict(type='PatchAlignedRandomShift', patch_size=32, grid=2)],
     'patch_size=32, grid=2, and the images were sealed with 16 and 2'),
    ('mix+shuffle', [FLIP], 'RandomFlip needs the layout.*UnshufflePatches before'),
    ('mix+shuffle', [UNSHUFFLE, FLIP], 'the backbone would see the layout'),
]


@pytest.mark.parametrize(('scheme', 'steps', 'message'), REFUSED)
def test_augmentations_that_do_not_commute_are_refused(sealed_shapes, scheme, steps, message):
    key_file = sealed_shapes.key_file if 'shuffle' in scheme else None
    with pytest.raises(ValueError, match=message):
        _build(sealed_shapes, scheme, _sealed_pipeline(key_file, between=steps))


def test_a_pipeline_that_reads_no_seal_is_refused(sealed_shapes):
    with pytest.raises(ValueError, match='in place of LoadImageFromFile'):
        _build(sealed_shapes, pipeline=[LOAD, _annotations('LoadAnnotations', False), PACK])


def test_another_key_or_none_is_refused_when_the_data_set_is_built(sealed_shapes, tmp_path):
    with pytest.raises(ManifestError, match='only its holder'):
        _build(sealed_shapes, 'mix+shuffle')
    Key.create(tmp_path / 'other.key')
    with pytest.raises(ManifestError, match='name the key file it was sealed with'):
        _build(sealed_shapes, 'mix+shuffle', _sealed_pipeline(tmp_path / 'other.key'))


@pytest.fixture
def copied(sealed_shapes, tmp_path) -> Path:
    return Path(shutil.copytree(sealed_shapes.folder('mix'), tmp_path / 'mine/train2017')).parent


def _first_file(root: Path) -> Path:
    manifest = Manifest.load(root / 'train2017')
    return manifest.path(manifest.images[0])


def test_a_missing_file_is_found_before_training(sealed_shapes, copied):
    _first_file(copied).unlink()
    with pytest.raises(ManifestError, match=r'1 files .* are missing or not what was sealed'):
        _build(sealed_shapes, root=copied)


def test_a_flipped_byte_is_found_when_it_is_read(sealed_shapes, copied):
    dataset = _build(sealed_shapes, root=copied)
    path = _first_file(copied)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises((ManifestError, OSError), match=path.name):
        dataset[0]


def test_swapped_files_are_found_when_they_are_read(sealed_shapes, copied):
    manifest = Manifest.load(copied / 'train2017')
    one, other = (manifest.path(image) for image in manifest.images[:2])
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    with pytest.raises(ManifestError, match='not what was sealed'):
        _build(sealed_shapes, root=copied)[0]


@pytest.mark.parametrize('name', ['manifest.json', 'annotations.json'])
def test_edited_texts_are_found_before_training(sealed_shapes, copied, name):
    path = copied / 'train2017' / name
    path.write_text(path.read_text().replace('0', '1', 1))
    with pytest.raises(ManifestError):
        _build(sealed_shapes, root=copied)


def test_a_image_of_no_sealed_data_set(sealed_shapes):
    step = _build(sealed_shapes).pipeline.transforms[0]
    path = next((sealed_shapes.plain / 'val2017').iterdir())
    with pytest.raises(ManifestError, match='not part of a sealed data set'):
        step(dict(img_path=str(path)))


def test_worker_processes_get_no_secret(sealed_shapes):
    dataset = _build(sealed_shapes, 'mix+shuffle', _sealed_pipeline(sealed_shapes.key_file))
    sent = pickle.dumps(dataset)
    secret = sealed_shapes.key_file.read_text().split('\n')[1]
    assert bytes.fromhex(secret) not in sent
    assert secret.encode() not in sent
    _assert_same(pickle.loads(sent)[0], dataset[0])
    assert secret not in repr(dataset) + str(dataset.pipeline)


def test_own_ann_file_is_refused(sealed_shapes):
    with pytest.raises(TypeError, match='knows its own ann_file'):
        SealedCocoDataset(data_root=str(sealed_shapes.root), sealed='mix', ann_file='mine.json')


def test_older_pipelines_give_the_same_items(sealed_shapes):
    """``LoadImageFromFile`` and ``ReadSeal``; what was loaded in between is not used."""
    key_file = str(sealed_shapes.key_file)
    new = _build(sealed_shapes, 'mix+shuffle', _sealed_pipeline(key_file))
    old = _build(sealed_shapes, 'mix+shuffle', [
        LOAD, dict(type='ReadSeal', key_file=key_file),
        *_sealed_pipeline(key_file)[1:]])
    for index in range(2):
        _assert_same(old[index], new[index])
        np.testing.assert_array_equal(old[index]['data_samples'].patch_order,
                                      new[index]['data_samples'].patch_order)


def test_older_pipelines_that_resize_in_between_are_refused(sealed_shapes):
    resize = dict(type='Resize', scale=(32, 24))
    dataset = _build(sealed_shapes, pipeline=[
        LOAD, dict(type='ReadSeal'), *_sealed_pipeline()[1:]])
    step = dataset.pipeline.transforms[1]
    loaded = dataset.pipeline.transforms[0](dataset.get_data_info(0))
    with pytest.raises(ManifestError, match='was loaded as 32x24 and is 64x48: ReadSeal comes'):
        step(TRANSFORMS.build(resize)(loaded))


OPENED: list[str] = []
LISTENING: list[bool] = []
sys.addaudithook(lambda event, args: OPENED.append(str(args[0]))
                 # Not os.open, by which open() does it; there is no way to remove a hook.
                 if LISTENING and event == 'open' and args[1] is not None else None)


def _opened(dataset, index: int) -> list[str]:
    """Files of the data set that an item opens, in turn."""
    dataset[index]  # what is read once, such as the manifest, has been read
    OPENED.clear()
    LISTENING.append(True)
    try:
        dataset[index]
    finally:
        LISTENING.clear()
    return [Path(path).name for path in OPENED if 'train2017' in path]


def test_an_item_opens_its_image_once_and_parses_nothing(sealed_shapes):
    """What is decoded is what was checked: a file that changes in between cannot slip in."""
    dataset = _build(sealed_shapes)
    name = Path(dataset.get_data_info(2)['img_path']).name
    assert _opened(dataset, 2) == [name]


def test_arrays_have_no_seal():
    with pytest.raises(ValueError, match='needs the path of a sealed file'):
        TRANSFORMS.build(dict(type='LoadSealedImage'))(dict(img=np.zeros((8, 8, 3), np.uint8)))


def _shuffled_orders(shapes, step: dict, **between) -> list[np.ndarray]:
    dataset = _build(shapes, 'mix+shuffle', _sealed_pipeline(
        shapes.key_file, masks=False, between=[UNSHUFFLE, step]))
    return [_item(dataset, 0, seed)['data_samples'].patch_order for seed in (0, 1, 0)]


def test_fresh_orders_differ_in_every_epoch_and_follow_the_seed(sealed_shapes):
    one, other, again = _shuffled_orders(sealed_shapes, dict(type='ShufflePatches', fresh=True))
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(one, again)


def test_keyed_orders_are_the_same_in_every_epoch(sealed_shapes):
    orders = _shuffled_orders(sealed_shapes, dict(type='ShufflePatches',
                                                  key_file=str(sealed_shapes.key_file)))
    np.testing.assert_array_equal(orders[0], orders[1])


@pytest.mark.parametrize('step', [UNSHUFFLE, dict(type='ShufflePatches', fresh=True)],
                         ids=lambda step: step['type'])
def test_patch_size_and_grid_come_from_the_seal(step):
    """A sealed image of patch 8 and grid 2 has patches of 4 pixels; one of 16 would not fit."""
    img = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    results = dict(img=img, img_path='a.png', sealed=dict(patch_size=8, grid=2,
                                                          scaled_shape=(24, 40)))
    if step is UNSHUFFLE:
        results['patch_order'] = np.arange(15)
    assert TRANSFORMS.build(step)(results)['img'].shape == img.shape
    with pytest.raises(ValueError, match='patch_size=16, grid=2, and the image was sealed with 8'):
        TRANSFORMS.build(dict(step, patch_size=16, grid=2))(dict(results, patch_order=[])
                                                            if step is UNSHUFFLE else dict(
                                                                img=img, sealed=results['sealed']))


def test_a_packed_set_gives_the_same_samples(sealed_shapes, tmp_path):
    """And an image that is changed in its shard is found when it is read."""
    key = Key.load(sealed_shapes.key_file)
    pack_dataset(Manifest.load(sealed_shapes.folder('mix+shuffle')), key, tmp_path / 'train2017')
    pipeline = _sealed_pipeline(sealed_shapes.key_file)
    packed = _build(sealed_shapes, pipeline=pipeline, root=tmp_path)
    folder = _build(sealed_shapes, 'mix+shuffle', pipeline)
    assert len(packed) == len(folder) > 3
    for i in (*range(len(folder)), 0):
        _assert_same(_item(packed, i), _item(folder, i))
    again = pickle.loads(pickle.dumps(packed))
    _assert_same(_item(again, 1), _item(folder, 1))
    shard = tmp_path / 'train2017/shards/000000.tar'
    content = bytearray(shard.read_bytes())
    content[700] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ManifestError, match='is not what was sealed'):
        packed[0]
    shard.write_bytes(content[:-512])
    with pytest.raises(ManifestError, match=r'shards/000000.tar'):
        _build(sealed_shapes, pipeline=pipeline, root=tmp_path)
