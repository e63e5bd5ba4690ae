"""Sealed sets of centered images with a gain: manifest, what is clipped, and what follows."""
from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from mmppvit.cli.app import main
from mmppvit.datasets import MixCenterPatches
from mmppvit.encryption import Key, Scheme, unshuffle_patches
from mmppvit.sealed import MANIFEST, Manifest, ManifestError, check_sealed, seal_dataset
from mmppvit.sealed.clipping import Clipping
from mmppvit.sealed.manifest_format import canonical, parse
from mmppvit.sealed.rekey import rekey_dataset
from mmppvit.sealed.repair import repair_dataset
from tests.sealed.jobs import content_of, make_job

SCHEME = Scheme('mix+center+shuffle', 8, center_strength=1., gain=4.)


@pytest.fixture(scope='module')
def sealed(plain, key, tmp_path_factory):
    """(job, its report)."""
    job = make_job(plain, tmp_path_factory.mktemp('gain') / 'sealed', key, SCHEME)
    return job, seal_dataset(job)


def test_the_manifest_says_it_and_all_is_well(sealed, key):
    job, report = sealed
    assert report.complete
    assert Manifest.load(job.out).scheme == SCHEME
    assert json.loads((job.out / MANIFEST).read_text())['scheme']['gain'] == 4.
    assert check_sealed(job.out, key).problems == []


def test_files_are_what_the_pipeline_makes(sealed, plain, key):
    """With the key, in order: exactly the bytes of ``MixCenterPatches``."""
    job, _ = sealed
    manifest, step = Manifest.load(job.out), MixCenterPatches(8, 2, 1., 4.)
    for image in manifest.images:
        img = manifest.decode(image)
        order = SCHEME.order(key, image.file, bytes.fromhex(image.nonce), img.shape)
        own = step(dict(img=cv2.imread(str(plain / 'images' / image.source))))
        np.testing.assert_array_equal(unshuffle_patches(img, SCHEME.side, order), own['img'])


def test_rekeyed_resumed_and_repaired(sealed, plain, key, tmp_path):
    job, _ = sealed
    new = Key(bytes(range(1, 33)))
    assert rekey_dataset(Manifest.load(job.out), key, new, tmp_path / 'new').scheme == SCHEME
    assert check_sealed(tmp_path / 'new', new).problems == []

    again = make_job(plain, tmp_path / 'again', key, SCHEME, name=job.name)
    seal_dataset(again)
    whole = content_of(again.out)
    Manifest.load(again.out).path(Manifest.load(again.out).images[0]).unlink()
    report = seal_dataset(again, resume=True)
    assert (report.written, report.kept) == (1, 7)
    assert content_of(again.out) == whole
    (again.out / MANIFEST).unlink()
    repair_dataset(again)
    assert Manifest.load(again.out).scheme == SCHEME
    assert check_sealed(again.out, key).problems == []


@pytest.mark.parametrize('gain', [1., 2.])
def test_a_run_with_another_gain_is_not_resumed(sealed, plain, key, gain):
    job, _ = sealed
    other = make_job(plain, job.out, key, Scheme('mix+center+shuffle', 8, 2, 1., gain=gain))
    with pytest.raises(ValueError, match=r'other|another|options|differ'):
        seal_dataset(other, resume=True)


def test_older_versions_have_no_gain(sealed):
    data = json.loads((sealed[0].out / MANIFEST).read_text())
    assert parse(dict(data), sealed[0].out)[0]['scheme'] == SCHEME
    data['version'] = 1
    for name in ('digest', 'name', 'role', 'counter', 'padding', 'sealed_metadata'):
        data.pop(name)
    content = {name: value for name, value in data.items() if name != 'signature'}
    import hashlib
    data['digest'] = hashlib.sha256(canonical(content)).hexdigest()
    with pytest.raises((ValueError, ManifestError), match='version 1 has no gain'):
        parse(data, sealed[0].out)


@pytest.mark.parametrize(('gain', 'clips'), [(1., None), (2., False), (64., True)])
def test_what_is_clipped_is_counted_and_said(plain, tmp_path, gain, clips):
    scheme = Scheme('mix+center', 8, center_strength=1., gain=gain)
    job = make_job(plain, tmp_path / 'out', scheme=scheme)
    report = seal_dataset(job)
    if clips is None:
        assert report.clipped is None
        return
    images = [Manifest.load(job.out).decode(image) for image in Manifest.load(job.out).images]
    ends = sum(int(np.isin(img, (0, 255)).sum()) for img in images)
    assert report.clipped == ends / sum(img.size for img in images)
    said = [text for text in report.warnings if 'clipped' in text]
    assert len(said) == clips
    if clips:
        assert said[0].startswith(f'{report.clipped:.2%} of the values are clipped: a gain of 64')


def test_the_limit_is_a_thousandth():
    for ends, count in ((1, 0), (2, 1)):
        clipping = Clipping(SCHEME)
        clipping.add(ends, 1000)
        assert clipping.share == ends / 1000
        assert len(clipping.warnings()) == count
    assert Clipping(SCHEME).share is None
    assert Clipping(SCHEME).warnings() == []


def test_the_command(plain, key, tmp_path, capsys):
    arguments = ['seal', '--img-dir', str(plain / 'images'), '--ann', str(plain / 'ann.json'),
                 '--scheme', 'mix+center', '--patch-size', '8']
    assert main([*arguments, '--gain', '4', '--out', str(tmp_path / 'a')]) == 0
    assert 'clipped by the gain: ' in capsys.readouterr().out
    assert main([*arguments, '--out', str(tmp_path / 'b')]) == 0
    assert 'clipped' not in capsys.readouterr().out
    assert main([*arguments, '--gain', '.5', '--out', str(tmp_path / 'c')]) == 2
    assert 'gain must lie between 1 and 64' in capsys.readouterr().err
    assert Manifest.load(tmp_path / 'a').scheme.gain == 4
    assert 'gain' not in json.loads((tmp_path / 'b' / MANIFEST).read_text())['scheme']
