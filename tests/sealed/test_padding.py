"""Images that are no whole patches: padded, or rescaled so that nothing marks the border."""
from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

from mmppvit.cli.app import main
from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import Manifest, SealJob, restore_dataset, seal_dataset, verify_sealed

BOX = [10, 6, 20, 12]  # x, y, w, h in the plain frame


@pytest.fixture(scope='module')
def odd(tmp_path_factory):
    """An image of 45x30, and ann.json with one box."""
    root = tmp_path_factory.mktemp('odd')
    (root / 'images').mkdir()
    img = np.random.default_rng(0).integers(0, 256, (30, 45, 3), np.uint8)
    cv2.imwrite(str(root / 'images/a.png'), img)
    (root / 'ann.json').write_text(json.dumps(dict(
        images=[dict(id=1, file_name='a.png', width=45, height=30)],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=BOX, area=240, iscrowd=0)],
        categories=[dict(id=1, name='cell')])))
    return root


def job(odd, out, key, name: str, **options) -> SealJob:
    scheme = Scheme(name, grid=2 if 'mix' in name else 1,
                    center_strength=1. if 'center' in name else 0.)
    return SealJob(odd / 'images', out, scheme, odd / 'ann.json', key=key, **options)


@pytest.mark.parametrize(('name', 'padding', 'scaled'), [
    ('mix', 'mirror', (45, 30)), ('shuffle', 'mirror', (45, 30)),
    ('mix+center', 'mirror', (45, 30)), ('mix+shuffle', 'fit', (48, 32)),
    ('mix+center+shuffle', 'fit', (48, 32))])
def test_defaults(name, padding, scaled, odd, key, tmp_path):
    """What loses no pixel keeps them; what hides the order does not mark the border."""
    seal_dataset(job(odd, tmp_path / 'out', key, name))
    manifest = Manifest.load(tmp_path / 'out')
    assert (manifest.padding, manifest.images[0].scaled) == (padding, scaled)
    assert manifest.images[0].plain == (45, 30)
    assert list(verify_sealed(tmp_path / 'out', key)) == []


@pytest.mark.parametrize(('side', 'fitted'), [(16, 16), (23, 16), (24, 32), (31, 32), (40, 48)])
def test_sides_become_the_nearest_whole_patches(side, fitted, odd, key, tmp_path):
    (tmp_path / 'images').mkdir()
    img = np.arange(side * 32 * 3, dtype=np.uint8).reshape(side, 32, 3)
    cv2.imwrite(str(tmp_path / 'images/a.png'), img)
    seal_dataset(SealJob(tmp_path / 'images', tmp_path / 'out', Scheme('mix', 16, 2), key=key,
                         padding='fit'))
    manifest = Manifest.load(tmp_path / 'out')
    assert manifest.images[0].scaled == (32, fitted)
    expected = Scheme('mix', 16, 2).encrypt(cv2.resize(img, (32, fitted)), key, '').img
    np.testing.assert_array_equal(manifest.decode(manifest.images[0]), expected)


def test_a_scale_and_whole_patches_are_one_step(odd, key, tmp_path):
    seal_dataset(job(odd, tmp_path / 'out', key, 'mix', scales=((100, 70), ), padding='fit'))
    manifest = Manifest.load(tmp_path / 'out')
    assert manifest.images[0].scaled == (96, 64)  # 100x67 with the sides of the plain image
    plain = cv2.imread(str(odd / 'images/a.png'))
    expected = Scheme('mix', 16, 2).encrypt(cv2.resize(plain, (96, 64)), key, '').img
    np.testing.assert_array_equal(manifest.decode(manifest.images[0]), expected)


def test_what_is_smaller_than_a_patch_is_not_enlarged(key, tmp_path):
    (tmp_path / 'images').mkdir()
    for name, side in (('a', 15), ('b', 16)):
        cv2.imwrite(str(tmp_path / f'images/{name}.png'), np.ones((side, 40, 3), np.uint8))
    report = seal_dataset(SealJob(tmp_path / 'images', tmp_path / 'out', Scheme('mix+shuffle'),
                                  key=key))
    assert [name for name, _ in report.skipped] == ['a.png']
    assert 'smaller than one 16x16 patch' in report.skipped[0][1]


def test_boxes_are_those_of_the_stretched_image(odd, tmp_path):
    """Both axes have their own factor, in training and back in the plain frame."""
    key_file = tmp_path / 'owner.key'
    seal_dataset(job(odd, tmp_path / 'out', Key.create(key_file), 'mix+shuffle'))
    init_default_scope('mmdet')
    dataset = DATASETS.build(dict(
        type='SealedCocoDataset', data_root=str(tmp_path), sealed='out',
        metainfo=dict(classes=('cell', )), pipeline=[
            dict(type='LoadSealedImage', key_file=str(key_file)),
            dict(type='LoadSealedAnnotations'), dict(type='PackSealedInputs')]))
    sample = dataset[0]['data_samples']
    x, y, w, h = BOX
    plain = np.array([x, y, x + w, y + h])
    factor = np.array([48 / 45 / 2, 32 / 30 / 2] * 2)
    np.testing.assert_allclose(sample.gt_instances.bboxes.numpy()[0], plain * factor, rtol=1e-6)
    np.testing.assert_allclose(sample.scale_factor, factor[:2])
    assert sample.ori_shape == (30, 45)


def test_restoring_keeps_every_pixel(odd, key, tmp_path):
    seal_dataset(job(odd, tmp_path / 'out', key, 'shuffle'))
    restore_dataset(Manifest.load(tmp_path / 'out'), key, tmp_path / 'back')
    np.testing.assert_array_equal(cv2.imread(str(next((tmp_path / 'back').rglob('a.png')))),
                                  cv2.imread(str(odd / 'images/a.png')))


def test_a_set_goes_on_with_its_own_padding(odd, key, tmp_path):
    """Also if the default has become another one since; not if another one is asked for."""
    seal_dataset(job(odd, tmp_path / 'out', key, 'mix+shuffle', padding='mirror'))
    report = seal_dataset(job(odd, tmp_path / 'out', key, 'mix+shuffle'), resume=True)
    assert (report.kept, report.written) == (1, 0)
    with pytest.raises(ValueError, match='with other options'):
        seal_dataset(job(odd, tmp_path / 'out', key, 'mix+shuffle', padding='fit'), resume=True)


def test_the_option(odd, tmp_path, capsys):
    arguments = ['seal', '--img-dir', str(odd / 'images'), '--out', str(tmp_path / 'out'),
                 '--scheme', 'mix', '--padding']
    assert main([*arguments, 'fit']) == 0
    assert Manifest.load(tmp_path / 'out').padding == 'fit'
    assert main([*arguments, 'black']) == 2
    assert "'fit', 'mirror', 'zero'" in capsys.readouterr().err
