"""Sealed data sets of protected images."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import pytest

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.models.protectors import load_protector, protect_image
from mmppvit.models.protectors.protector_scheme import learned_scheme
from mmppvit.sealed import (
    Manifest,
    ManifestError,
    SealJob,
    check_restorable,
    seal_dataset,
    verify_sealed,
)
from mmppvit.sealed.manifest_format import canonical
from tests.protectors import write_protector


@pytest.fixture(scope='module')
def plain(tmp_path_factory) -> Path:
    """Sides that are multiples of nothing."""
    return write_synthetic_shapes(tmp_path_factory.mktemp('learned') / 'plain', 3, 1, (83, 61))


@pytest.fixture
def protector(tmp_path) -> Path:
    return write_protector(tmp_path / 'protector.safetensors')


def _job(plain: Path, out: Path, protector: Path, **options) -> SealJob:
    return SealJob(plain / 'train2017', out, learned_scheme(protector),
                   plain / 'annotations/instances_train2017.json', **options)


def test_sealed_images_are_the_protectors_own(plain, protector, tmp_path):
    seal_dataset(_job(plain, tmp_path / 'sealed', protector))
    manifest = Manifest.load(tmp_path / 'sealed')
    network = load_protector(protector).network
    assert len(manifest.images) == 3
    for image in manifest.images:
        assert image.size == image.scaled == image.plain == (83, 61)
        sealed = cv2.imread(str(tmp_path / 'sealed' / image.file))
        original = cv2.imread(str(plain / 'train2017' / image.source))
        assert (sealed == protect_image(network, original)).all()
    assert list(verify_sealed(tmp_path / 'sealed')) == []


def test_the_manifest_names_the_protector(plain, protector, tmp_path):
    seal_dataset(_job(plain, tmp_path / 'sealed', protector))
    data = json.loads((tmp_path / 'sealed/manifest.json').read_text())
    scheme = learned_scheme(protector)
    assert data['version'] == 4
    assert data['scheme']['protector'] == scheme.protector
    assert data['scheme']['unet'] == scheme.unet
    assert data['key'] is None
    assert Manifest.load(tmp_path / 'sealed').scheme == scheme
    with pytest.raises(ValueError, match='a protection network has no inverse'):
        check_restorable(scheme)


@pytest.mark.parametrize('change', [dict(version=2), dict(version=1)])
def test_versions_without_learned_protection_are_refused(plain, protector, tmp_path, change):
    seal_dataset(_job(plain, tmp_path / 'sealed', protector))
    path = tmp_path / 'sealed/manifest.json'
    data = {**json.loads(path.read_text()), **change}
    signature = data.pop('signature')
    del data['digest']
    data.update(digest=hashlib.sha256(canonical(data)).hexdigest(), signature=signature)
    path.write_text(json.dumps(data))
    with pytest.raises(ManifestError, match='has no such scheme'):
        Manifest.load(tmp_path / 'sealed')


def test_the_same_bytes_from_any_number_of_processes(plain, protector, tmp_path):
    for workers in (0, 2):
        seal_dataset(_job(plain, tmp_path / str(workers), protector), num_workers=workers)
    files = [path.relative_to(tmp_path / '0') for path in (tmp_path / '0').rglob('*.*')]
    assert len(files) == 5
    assert all((tmp_path / '0' / file).read_bytes() == (tmp_path / '2' / file).read_bytes()
               for file in files)


def test_another_protector_does_not_resume(plain, protector, tmp_path):
    seal_dataset(_job(plain, tmp_path / 'sealed', protector))
    (tmp_path / 'sealed/images/000000000002.png').unlink()
    other = write_protector(tmp_path / 'other.safetensors', seed=1)
    with pytest.raises(ValueError, match='cannot be resumed with these'):
        seal_dataset(_job(plain, tmp_path / 'sealed', other), resume=True)
    report = seal_dataset(_job(plain, tmp_path / 'sealed', protector), resume=True)
    assert (report.written, report.kept, report.complete) == (1, 2, True)
    assert list(verify_sealed(tmp_path / 'sealed')) == []


def test_rescaled_before_it_is_protected(plain, protector, tmp_path):
    seal_dataset(_job(plain, tmp_path / 'sealed', protector, scales=((42, 31), )))
    image = Manifest.load(tmp_path / 'sealed').images[0]
    assert image.size == (42, 31)
    assert image.plain == (83, 61)
    small = cv2.resize(cv2.imread(str(plain / 'train2017' / image.source)), (42, 31))
    sealed = cv2.imread(str(tmp_path / 'sealed' / image.file))
    assert (sealed == protect_image(load_protector(protector).network, small)).all()
