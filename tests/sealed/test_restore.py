"""Back to the plain images, where nothing was lost."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.encryption import Key, Scheme, pad_to_patches
from mmppvit.sealed import Manifest, SealJob, check_restorable, restore_dataset, seal_dataset

KEY = Key(bytes(range(32)))


@pytest.fixture(scope='module')
def plain(tmp_path_factory) -> Path:
    """Images of 70x50, which is not a multiple of the patch."""
    return write_synthetic_shapes(tmp_path_factory.mktemp('plain') / 'set', 3, 1, (70, 50))


def _seal(plain: Path, out: Path, scheme: Scheme | None = None, **options) -> Manifest:
    seal_dataset(SealJob(
        plain / 'train2017', out, scheme or Scheme('shuffle', grid=1), key=KEY,
        **{'ann_file': plain / 'annotations/instances_train2017.json', **options}))
    return Manifest.load(out)


@pytest.mark.parametrize('image_format', ['png', 'webp'])
def test_bit_for_bit_with_json(plain, tmp_path, image_format):
    manifest = _seal(plain, tmp_path / 'sealed', image_format=image_format)
    done = []
    assert restore_dataset(manifest, KEY, tmp_path / 'out', lambda *a: done.append(a))
    assert done == [(1, 3), (2, 3), (3, 3)]
    before = json.loads((plain / 'annotations/instances_train2017.json').read_text())
    after = json.loads((tmp_path / 'out/annotations.json').read_text())
    assert after['annotations'] == before['annotations']
    assert after['images'] == before['images']
    for item in after['images']:
        found = cv2.imread(str(tmp_path / 'out/images' / item['file_name']))
        expected = cv2.imread(str(plain / 'train2017' / item['file_name']))
        assert pad_to_patches(expected, 16).shape != expected.shape
        np.testing.assert_array_equal(found, expected)


def test_rescaled_images_come_without_json(plain, tmp_path):
    manifest = _seal(plain, tmp_path / 'sealed', scales=((96, 96), (48, 48)))
    assert not restore_dataset(manifest, KEY, tmp_path / 'out')
    for scale in (96, 48):
        for image in (plain / 'train2017').iterdir():
            found = cv2.imread(str(tmp_path / f'out/images_{scale}x{scale}' / image.name))
            np.testing.assert_array_equal(
                found, mmcv.imrescale(cv2.imread(str(image)), (scale, scale)))
    assert not (tmp_path / 'out/annotations.json').exists()


def test_without_annotations(plain, tmp_path):
    manifest = _seal(plain, tmp_path / 'sealed', ann_file=None)
    assert not restore_dataset(manifest, KEY, tmp_path / 'out')
    assert len(list((tmp_path / 'out/images').iterdir())) == 3


@pytest.mark.parametrize(('scheme', 'reason'), [
    (Scheme('mix'), 'mixing keeps 1 of 4'),
    (Scheme('mix+shuffle', grid=4), 'mixing keeps 1 of 16'),
    (Scheme('mix+center+shuffle', center_strength=.5), 'centering took the means'),
    (Scheme('shuffle', grid=1, erode=1), 'borders of the patches were cut away'),
    (Scheme('shuffle', grid=1, drop=.25), '25% of the patches were dropped'),
])
def test_what_cannot_be_undone(scheme, reason):
    with pytest.raises(ValueError, match=reason):
        check_restorable(scheme)


def test_refused_before_anything_is_written(plain, tmp_path):
    manifest = _seal(plain, tmp_path / 'sealed')
    with pytest.raises(ValueError, match='name the key file it was sealed with'):
        restore_dataset(manifest, Key(bytes(32)), tmp_path / 'out')
    with pytest.raises(ValueError, match='lies in the sealed data set'):
        restore_dataset(manifest, KEY, tmp_path / 'sealed/new')
    assert not (tmp_path / 'out').exists()
    assert not (tmp_path / 'sealed/new').exists()
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/thesis.txt').touch()
    with pytest.raises(ValueError, match='not empty'):
        restore_dataset(manifest, KEY, tmp_path / 'out')
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['thesis.txt']


def test_a_changed_file_is_not_restored(plain, tmp_path):
    manifest = _seal(plain, tmp_path / 'sealed')
    first, second = (tmp_path / 'sealed' / image.file for image in manifest.images[:2])
    shutil.copy(first, second)
    with pytest.raises(ValueError, match='not what was sealed'):
        restore_dataset(manifest, KEY, tmp_path / 'out')
