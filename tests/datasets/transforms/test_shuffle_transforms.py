"""``CenterPatches``, ``ShufflePatches`` and ``UnshufflePatches`` in MMDetection's pipelines."""
from __future__ import annotations

import copy
import pickle

import mmppvit.register  # noqa: F401

# isort: split
import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmppvit.datasets import CenterPatches, UnshufflePatches
from mmppvit.encryption import (
    Key,
    KeyFileError,
    Scheme,
    center_patches,
    mix_sub_patches,
    pad_to_patches,
    unshuffle_patches,
)

BOXES = np.array([[3, 5, 40, 60], [0, 0, 48, 32]], np.float32)


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture
def key_file(tmp_path) -> str:
    Key.create(tmp_path / 'some.key')
    return str(tmp_path / 'some.key')


def _image(height: int = 64, width: int = 96, channels: tuple = (3, ), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, *channels), dtype=np.uint8)


def _results(**kwargs) -> dict:
    results = dict(
        img=_image(), img_path='street.jpg', img_id=7, img_shape=(64, 96), ori_shape=(128, 192),
        scale_factor=(.5, .5), homography_matrix=np.diag([.5, .5, 1]).astype(np.float32),
        gt_bboxes=HorizontalBoxes(torch.from_numpy(BOXES.copy())),
        gt_bboxes_labels=np.array([0, 1]), gt_ignore_flags=np.array([False, True]),
        gt_masks=BitmapMasks(np.ones((2, 64, 96), np.uint8), 64, 96))
    results.update(kwargs)
    return results


def _build(name: str, **kwargs):
    return TRANSFORMS.build(dict(type=name, **kwargs))


def _assert_only_the_image_changed(before: dict, after: dict) -> None:
    assert set(after) - {'patch_order'} == set(before)
    for key, value in before.items():
        if key in ('gt_bboxes', 'gt_masks'):
            assert type(after[key]) is type(value)
            np.testing.assert_array_equal(after[key].to_tensor(torch.uint8, 'cpu')
                                          if key == 'gt_masks' else after[key].tensor,
                                          value.to_tensor(torch.uint8, 'cpu')
                                          if key == 'gt_masks' else value.tensor)
        elif key != 'img':
            np.testing.assert_array_equal(after[key], value)
    assert after['img'].shape == before['img'].shape
    assert after['img'].dtype == np.uint8


@pytest.mark.parametrize(('patch', 'grid'), [(16, 1), (16, 2), (32, 4), (8, 2)])
@pytest.mark.parametrize(('strength', 'normalize'), [(1., False), (.3, False), (0, False),
                                                     (1, True), (.5, True)])
def test_center_is_the_function(patch, grid, strength, normalize):
    results = _build('CenterPatches', strength=strength, normalize=normalize, patch_size=patch,
                     grid=grid)(_results())
    np.testing.assert_array_equal(
        results['img'], center_patches(_image(), patch // grid, strength, normalize))
    _assert_only_the_image_changed(_results(), results)


@pytest.mark.parametrize('options', [
    dict(), dict(grid=1), dict(patch_size=32, grid=4), dict(erode=2), dict(drop=.3),
    dict(patch_size=8, grid=1, erode=3, drop=.5)])
def test_shuffle_is_that_of_the_scheme(key_file, options):
    results = _build('ShufflePatches', key_file=key_file, **options)(_results())
    options = dict(options)
    side = options.pop('patch_size', 16) // options.pop('grid', 2)
    scheme = Scheme('shuffle', side, 1, **options)
    expected = scheme.encrypt(_image(), Key.load(key_file), '7')
    np.testing.assert_array_equal(results['img'], expected.img)
    np.testing.assert_array_equal(results['patch_order'], expected.order)
    assert results['patch_order'].dtype == np.int64
    assert results['patch_order'].shape == (64 // side * (96 // side), )
    _assert_only_the_image_changed(_results(), results)


@pytest.mark.parametrize('grid', [1, 2, 4])
@pytest.mark.parametrize('channels', [(), (1, ), (3, ), (4, )])
def test_unshuffle_undoes_it(key_file, grid, channels):
    start = _results(img=_image(channels=channels))
    results = Compose([
        dict(type='ShufflePatches', key_file=key_file, grid=grid),
        dict(type='UnshufflePatches', grid=grid)])(copy.deepcopy(start))
    np.testing.assert_array_equal(results['img'], start['img'])
    assert 'patch_order' not in results
    _assert_only_the_image_changed(start, results)


def test_the_pipeline_is_the_whole_scheme(key_file, tmp_path):
    """From a file of odd size to packed inputs, and what the key holder gets back."""
    img = _image(50, 70)
    cv2.imwrite(str(tmp_path / 'a.png'), img)
    packed = Compose([
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='MixSubPatches', patch_size=16, grid=2),
        dict(type='CenterPatches', strength=.8),
        dict(type='ShufflePatches', key_file=key_file, erode=1, drop=.1),
        dict(type='PackSealedInputs'),
    ])(dict(img_path=str(tmp_path / 'a.png'), img_id=12, height=50, width=70, instances=[
        dict(bbox=[10, 20, 30, 40], bbox_label=1, ignore_flag=0)]))
    scheme = Scheme('mix+center+shuffle', center_strength=.8, erode=1, drop=.1)
    expected = scheme.encrypt(img, Key.load(key_file), '12')
    np.testing.assert_array_equal(packed['inputs'].numpy().transpose(1, 2, 0), expected.img)
    sample = packed['data_samples']
    np.testing.assert_array_equal(sample.patch_order, expected.order)
    assert sample.img_shape == (32, 40)
    assert sample.scale_factor == (.5, .5)
    assert sample.gt_instances.bboxes.tensor.tolist() == [[5, 10, 15, 20]]


def test_restored_after_mixing(key_file):
    results = Compose([
        dict(type='MixSubPatches', patch_size=16, grid=2),
        dict(type='ShufflePatches', key_file=key_file)])(dict(img=_image(50, 70)))
    mixed = mix_sub_patches(pad_to_patches(_image(50, 70), 16), 16, 2)
    assert not np.array_equal(results['img'], mixed)
    np.testing.assert_array_equal(
        unshuffle_patches(results['img'], 8, results['patch_order']), mixed)


@pytest.mark.parametrize(('change', 'same'), [
    (dict(), True),
    (dict(img_path='other.jpg'), True),
    (dict(img_id=8), False),
    (dict(img_id='seven'), False),
    (dict(img=_image(seed=1)), False),
])
def test_every_image_has_an_order_of_its_own(key_file, change, same):
    shuffle = _build('ShufflePatches', key_file=key_file)
    first, second = shuffle(_results()), shuffle(_results(**change))
    assert np.array_equal(first['patch_order'], second['patch_order']) == same
    assert np.array_equal(first['img'], second['img']) == same


def test_another_key_is_another_order(key_file, tmp_path):
    Key.create(tmp_path / 'other.key')
    one, other = (_build('ShufflePatches', key_file=str(path))(_results())
                  for path in (key_file, tmp_path / 'other.key'))
    assert not np.array_equal(one['patch_order'], other['patch_order'])


def test_an_image_without_annotations(key_file):
    results = Compose([dict(type='CenterPatches'), dict(type='ShufflePatches', key_file=key_file)])(
        dict(img=_image()))
    assert set(results) == {'img', 'patch_order'}


def test_flip_between_two_shuffles(key_file):
    shuffle = dict(type='ShufflePatches', key_file=key_file)
    flip = dict(type='RandomFlip', prob=1.)
    once = Compose([flip, shuffle])(_results())
    again = Compose([shuffle, dict(type='UnshufflePatches'), flip, shuffle])(_results())
    np.testing.assert_array_equal(once['img'], again['img'])
    np.testing.assert_array_equal(once['patch_order'], again['patch_order'])


def test_shuffling_twice_is_refused(key_file):
    shuffle = _build('ShufflePatches', key_file=key_file)
    with pytest.raises(ValueError, match=r'street\.jpg: the patches are shuffled already: put '
                       'UnshufflePatches before'):
        shuffle(shuffle(_results()))


def test_nothing_to_put_back():
    with pytest.raises(ValueError, match=r'street\.jpg: the image has no patch_order.*it was not '
                       'shuffled, or LoadSealedImage has no key_file'):
        _build('UnshufflePatches')(_results())


@pytest.mark.parametrize('order', [np.arange(95), np.zeros(96, int), np.arange(96.)])
def test_an_order_that_does_not_fit(order):
    with pytest.raises(ValueError, match=r'street\.jpg: the (image has 96 patches|order is not)'):
        _build('UnshufflePatches')(_results(patch_order=order))


@pytest.mark.parametrize('shape', [(60, 96), (64, 90), (50, 70)])
@pytest.mark.parametrize('name', ['CenterPatches', 'ShufflePatches'])
def test_broken_patches_are_an_error_with_the_remedy(key_file, name, shape):
    options = dict(key_file=key_file) if name == 'ShufflePatches' else {}
    step = _build(name, patch_size=32, grid=2, **options)
    with pytest.raises(ValueError, match=r'street\.jpg: .*multiple of the patch.*put '
                       r'MixSubPatches\(patch_size=32, grid=2\) before this step'):
        step(_results(img=_image(*shape)))
    # The remedy.
    step(_build('MixSubPatches', patch_size=32, grid=2)(_results(img=_image(*shape))))


@pytest.mark.parametrize('name', ['CenterPatches', 'ShufflePatches'])
def test_floats_are_an_error_with_the_remedy(key_file, name):
    options = dict(key_file=key_file) if name == 'ShufflePatches' else {}
    step = _build(name, grid=1, **options)
    with pytest.raises(TypeError, match=r'street\.jpg: .*8-bit images, got float32.*put '
                       r'MixSubPatches\(patch_size=16, grid=1\) before this step'):
        step(_results(img=_image().astype(np.float32)))
    step(_build('MixSubPatches', grid=1)(_results(img=_image().astype(np.float32))))


def test_an_image_without_a_path_is_an_image():
    with pytest.raises(ValueError, match=r'^image: image height 60 is not a multiple'):
        _build('CenterPatches')(dict(img=_image(60, 96)))


@pytest.mark.parametrize(('name', 'options', 'message'), [
    ('CenterPatches', dict(strength=1.1), 'between 0 and 1, got 1.1'),
    ('CenterPatches', dict(strength=float('nan')), 'between 0 and 1, got nan'),
    ('CenterPatches', dict(strength='1'), 'center_strength must be of type float'),
    ('CenterPatches', dict(normalize=1), 'normalize must be of type bool'),
    ('CenterPatches', dict(grid=3), 'grid 3 does not divide the patch size 16'),
    ('ShufflePatches', dict(grid=0), 'grid must be a positive integer'),
    ('ShufflePatches', dict(erode=4), 'erode 4 leaves nothing of a patch of 8 pixels'),
    ('ShufflePatches', dict(drop=1.), 'drop must be at least 0 and less than 1'),
    ('ShufflePatches', dict(drop=True), 'drop must be of type float'),
    ('UnshufflePatches', dict(patch_size=0), 'patch_size must be a positive integer'),
])
def test_wrong_arguments_are_refused_when_built(key_file, name, options, message):
    if name == 'ShufflePatches':
        options = dict(options, key_file=key_file)
    with pytest.raises(ValueError, match=message):
        _build(name, **options)


@pytest.mark.parametrize('unset', ['', None, 'owner.key'])
def test_no_key_file_named(unset, key_file, monkeypatch, tmp_path):
    """The environment stands in, the same way as for commands."""
    for name in ('MMPPVIT_KEY', 'MMPPVIT_KEY_COMMAND'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyFileError, match=r'no key file owner\.key: make one with `mmppvit key'):
        _build('ShufflePatches', key_file=unset)
    monkeypatch.setenv('MMPPVIT_KEY_COMMAND', f'cat {key_file}')
    assert _build('ShufflePatches', key_file=unset).key.fingerprint == \
        Key.load(key_file).fingerprint


def test_a_key_file_that_is_missing_or_open_to_others(key_file, tmp_path):
    with pytest.raises(KeyFileError, match=r'no key file .*gone\.key: make one with `mmppvit'):
        _build('ShufflePatches', key_file=str(tmp_path / 'gone.key'))
    (tmp_path / 'some.key').chmod(0o644)
    with pytest.raises(KeyFileError, match=r'can be read by others \(mode 0644\)'):
        _build('ShufflePatches', key_file=key_file)


def test_the_secret_is_in_no_repr_and_no_pickle(key_file, tmp_path):
    secret = (tmp_path / 'some.key').read_text().split('\n')[1]
    step = _build('ShufflePatches', key_file=key_file, erode=1, drop=.5)
    assert repr(step) == (f'ShufflePatches(key={Key.load(key_file).fingerprint}, '
                          'patch_size=None, grid=None, erode=1, drop=0.5, fresh=False)')
    pickled = pickle.dumps(Compose([step]))
    assert secret.encode() not in pickled
    assert bytes.fromhex(secret) not in pickled
    for again in (pickle.loads(pickled), Compose([copy.deepcopy(step)])):
        np.testing.assert_array_equal(again(_results())['img'], step(_results())['img'])


@pytest.mark.parametrize('step', [
    CenterPatches(strength=.5, normalize=True, patch_size=32, grid=4),
    UnshufflePatches(patch_size=32, grid=4)])
def test_repr_can_be_read_back(step):
    assert vars(eval(repr(step))) == vars(step)
