"""Sealed baselines: written, read, verified, and of a version that older readers refuse."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.encryption import BASELINES, BaselineScheme, Key, Scheme
from mmppvit.sealed import (
    MANIFEST,
    Manifest,
    ManifestError,
    SealJob,
    check_restorable,
    seal_dataset,
    verify_sealed,
)
from mmppvit.sealed.image_files import decode_image
from mmppvit.sealed.manifest_format import canonical

KEY = Key(bytes(range(32)))
STRENGTH = dict(blur=1.5, pixelate=6, noise=20.)


@pytest.fixture(scope='module')
def plain(tmp_path_factory) -> Path:
    return write_synthetic_shapes(tmp_path_factory.mktemp('baselines'), 3, 1, (90, 70))


def _scheme(name: str) -> BaselineScheme:
    return BaselineScheme(name, grid=2 if 'downsample' in name else 1,
                          strength=STRENGTH.get(name, 0))


def _seal(plain: Path, out: Path, scheme: Scheme) -> Path:
    seal_dataset(SealJob(plain / 'train2017', out, scheme,
                         plain / 'annotations/instances_train2017.json',
                         KEY if scheme.shuffles else None, padding='mirror'))
    return out


@pytest.mark.parametrize('name', BASELINES)
def test_sealed_read_and_verified(plain, tmp_path, name):
    scheme = _scheme(name)
    root = _seal(plain, tmp_path / 'sealed', scheme)
    manifest = Manifest.load(root)
    assert manifest.scheme == scheme
    assert json.loads((root / MANIFEST).read_text())['version'] == 4
    for image in manifest.images:
        assert image.size == ((48, 40) if scheme.shrinks else (96, 80))
        img = cv2.imread(str(plain / 'train2017' / image.source))
        expected = scheme.encrypt(img, KEY, image.file, 'mirror').img
        np.testing.assert_array_equal(decode_image(manifest.read(image)), expected)
    assert list(verify_sealed(root, KEY if scheme.shuffles else None)) == []
    again = _seal(plain, tmp_path / 'again', scheme)
    assert (again / MANIFEST).read_bytes() == (root / MANIFEST).read_bytes()


def test_other_schemes_have_no_strength(plain, tmp_path):
    root = _seal(plain, tmp_path / 'sealed', Scheme('mix'))
    assert 'strength' not in json.loads((root / MANIFEST).read_text())['scheme']


@pytest.mark.parametrize(('scheme', 'version'), [
    (_scheme('blur'), 1), (Scheme('mix'), 2), (Scheme('mix'), 3), (_scheme('blur'), 3),
    (Scheme('mix'), 6), (_scheme('blur'), 6)])
def test_versions_that_do_not_fit(plain, tmp_path, scheme, version):
    import hashlib
    root = _seal(plain, tmp_path / 'sealed', scheme)
    data = json.loads((root / MANIFEST).read_text()) | dict(version=version)
    content = {k: v for k, v in data.items() if k not in ('digest', 'signature')}
    data['digest'] = hashlib.sha256(canonical(content)).hexdigest()
    (root / MANIFEST).write_text(json.dumps(data))
    with pytest.raises(ManifestError, match='update mmppvit' if version == 6 else 'no such scheme'):
        Manifest.load(root)


@pytest.mark.parametrize(('name', 'reason'), [
    ('downsample', 'downsampling keeps 1 of 4'), ('downsample+shuffle', 'keeps 1 of 4'),
    ('blur', 'no key'), ('noise', 'no key'), ('pixelate', 'no key')])
def test_nothing_is_restored(name, reason):
    with pytest.raises(ValueError, match=reason):
        check_restorable(_scheme(name))


def test_downsampling_by_1_is_refused(tmp_path):
    with pytest.raises(ValueError, match='downsampling with --grid 1 leaves the images plain'):
        SealJob(tmp_path / 'a', tmp_path / 'b', BaselineScheme('downsample', grid=1))


def test_plain_images_among_pixelated_ones():
    img = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    scheme = _scheme('pixelate')
    assert not scheme.looks_plain(scheme.encrypt(img).img)
    padded = np.pad(img, ((0, 6), (0, 10), (0, 0)))
    assert scheme.looks_plain(padded)


def test_ordered_images_among_shuffled_ones():
    smooth = cv2.GaussianBlur(np.random.default_rng(0).integers(
        0, 256, (256, 320, 3)).astype(np.float32), (0, 0), 20)
    img = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    scheme = _scheme('downsample+shuffle')
    assert scheme.looks_plain(scheme.in_order(img))
    assert not scheme.looks_plain(scheme.encrypt(img, KEY).img)
