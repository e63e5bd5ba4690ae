"""``MixCenterPatches``: geometry of mixing, pixels of sealing."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import cv2
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmppvit.encryption import Key, Scheme


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def _run(img: np.ndarray, *steps: dict) -> dict:
    return Compose([dict(step, patch_size=16, grid=2) for step in steps])(dict(
        img=img, img_shape=img.shape[:2], ori_shape=img.shape[:2], img_id=7,
        gt_bboxes=np.array([[3, 5, 40, 30]], np.float32)))


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
@pytest.mark.parametrize('strength', [.5, 1.])
def test_pixels_are_those_of_sealing_and_geometry_that_of_mixing(dtype, strength):
    img = np.random.default_rng(0).integers(100, 150, (50, 70, 3)).astype(dtype)
    found = _run(img, dict(type='MixCenterPatches', strength=strength, gain=4.))
    scheme = Scheme('mix+center', center_strength=strength, gain=4.)
    np.testing.assert_array_equal(found.pop('img'), scheme.encrypt(img.astype(np.uint8)).img)
    expected = _run(img, dict(type='MixSubPatches'))
    del expected['img']
    for key, value in expected.items():
        np.testing.assert_array_equal(found.pop(key), value)
    assert found == {}


def test_with_a_gain_of_one_it_is_the_two_steps():
    img = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    np.testing.assert_array_equal(
        _run(img, dict(type='MixCenterPatches', strength=.7, gain=1.))['img'],
        _run(img, dict(type='MixSubPatches'), dict(type='CenterPatches', strength=.7))['img'])


def test_shuffled_as_a_sealed_file(tmp_path):
    img = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    key = Key.create(tmp_path / 'owner.key')
    found = _run(img, dict(type='MixCenterPatches', gain=8.),
                 dict(type='ShufflePatches', key_file=str(tmp_path / 'owner.key')))
    expected = Scheme('mix+center+shuffle', center_strength=1., gain=8.).encrypt(img, key, '7')
    np.testing.assert_array_equal(found['img'], expected.img)
    np.testing.assert_array_equal(found['patch_order'], expected.order)


def test_flips_commute(bccd):
    img = cv2.imread(str(next((bccd / 'images').iterdir())))
    step, flip = dict(type='MixCenterPatches', gain=4.), dict(type='RandomFlip', prob=1.)
    before = Compose([flip])(_run(img, step))
    after = _run(Compose([flip])(dict(img=img))['img'], step)
    np.testing.assert_array_equal(before['img'], after['img'])


@pytest.mark.parametrize(('options', 'message'), [
    (dict(gain=.5), 'gain must lie between 1 and 64'), (dict(strength=2.), 'between 0 and 1'),
    (dict(patch_size=15), 'does not divide')])
def test_what_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(dict(type='MixCenterPatches', **options))


def test_an_image_that_is_no_levels_is_named():
    step = TRANSFORMS.build(dict(type='MixCenterPatches'))
    with pytest.raises(TypeError, match=r'street\.jpg: encryption works on 8-bit images'):
        step(dict(img=np.zeros((32, 32, 3), np.int32), img_path='street.jpg'))
    assert 'strength=1.0, gain=4.0' in repr(step)
