"""``tools/{encrypt_dataset,verify_sealed,decrypt_dataset}.py`` as a user runs them."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.encryption import Key


@pytest.fixture
def shapes(tmp_path) -> Path:
    return write_synthetic_shapes(tmp_path / 'set', 3, 1, (80, 64))


def _arguments(shapes: Path, out: Path, scheme: str = 'mix', *more: object) -> list:
    ann = shapes / 'annotations/instances_train2017.json'
    return ['--img-dir', shapes / 'train2017', '--ann', ann, '--out', out, '--scheme', scheme,
            *more]


def test_seal_verify_and_restore(tool, shapes, tmp_path):
    key = Key.create(tmp_path / 'owner.key')
    out = tmp_path / 'sealed'
    arguments = _arguments(shapes, out, 'shuffle', '--key-file', tmp_path / 'owner.key')
    code, stdout, stderr = tool('encrypt_dataset.py', *arguments)
    assert code == 0
    assert f'{out}: 3 files written, 0 kept from before, 0 images skipped' in stdout
    assert 'left out of the json: info (whole), licenses (whole)' in stdout
    assert 'Sealing' in stderr
    assert '3/3' in stderr
    assert 'Sealing' not in stdout

    code, stdout, stderr = tool('verify_sealed.py', out, '--key-file', tmp_path / 'owner.key')
    assert code == 0
    assert 'scheme shuffle, 0 skipped when sealed, signature checked: all is well' in stdout
    assert '3/3' in stderr
    assert 'signature not checked' in tool('verify_sealed.py', out)[1]

    code, stdout, stderr = tool('decrypt_dataset.py', out, '--out', tmp_path / 'restored',
                                '--key-file', tmp_path / 'owner.key')
    assert code == 0
    assert '3 images restored, with annotations.json' in stdout
    for path in (shapes / 'train2017').iterdir():
        np.testing.assert_array_equal(
            cv2.imread(str(tmp_path / 'restored/images' / path.name)), cv2.imread(str(path)))

    other = Key.create(tmp_path / 'other.key')
    assert other.fingerprint != key.fingerprint
    for name, more in (('verify_sealed.py', []),
                       ('decrypt_dataset.py', ['--out', tmp_path / 'new'])):
        code, _, stderr = tool(name, out, *more, '--key-file', tmp_path / 'other.key')
        assert code == 2
        assert other.fingerprint in stderr
    code, _, stderr = tool('decrypt_dataset.py', out, '--out', tmp_path / 'new')
    assert code == 2
    assert 'give the --key-file' in stderr
    assert not (tmp_path / 'new').exists()


def test_skipped_images_are_listed_and_can_be_added(tool, shapes, tmp_path):
    path = shapes / 'train2017/000000000002.png'
    content = path.read_bytes()
    path.write_bytes(b'')
    arguments = _arguments(shapes, tmp_path / 'out')
    code, stdout, _ = tool('encrypt_dataset.py', *arguments)
    assert code == 1
    assert '  skipped 000000000002.png: it is empty' in stdout
    assert 'complete without them' in stdout
    code, stdout, _ = tool('verify_sealed.py', tmp_path / 'out')
    assert code == 0
    assert '2 images, scheme mix, 1 skipped when sealed: all is well' in stdout
    path.write_bytes(content)
    code, stdout, _ = tool('encrypt_dataset.py', *arguments, '--resume')
    assert code == 0
    assert '1 files written, 2 kept from before, 0 images skipped' in stdout


def test_shards_say_when_the_manifest_is_there(tool, shapes, tmp_path):
    for shard, done in (('1/2', False), ('0/2', True)):
        code, stdout, _ = tool('encrypt_dataset.py', *_arguments(shapes, tmp_path / 'out'),
                               '--shard', shard, '--scale', '96x96', '40x40', '--format', 'webp')
        assert code == 0
        assert ('there is no manifest yet' in stdout) is not done
    assert tool('verify_sealed.py', tmp_path / 'out')[0] == 0
    code, _, stderr = tool('decrypt_dataset.py', tmp_path / 'out', '--out', tmp_path / 'new')
    assert code == 2
    assert 'mixing keeps 1 of 4 numbers' in stderr


@pytest.mark.parametrize(('options', 'message'), [
    (['--scale', '800'], "'800' is not WIDTHxHEIGHT"),
    (['--shard', '1'], '--shard 1: write it as i/n'),
    (['--shard', '2/2'], 'shard 2/2 does not exist'),
    (['--grid', '3'], 'grid 3 does not divide'),
    (['--grid', '0'], 'grid must be a positive integer'),
    (['--center-strength', '.5'], 'does not center'),
    (['--scheme', 'shuffle'], 'needs --key-file'),
    (['--key-file', 'none.key'], 'no key file'),
    (['--img-dir', 'none'], 'no folder none'),
    (['--ann', 'none.json'], 'none.json'),
])
def test_wrong_options_are_one_line(tool, shapes, tmp_path, options, message):
    code, stdout, stderr = tool('encrypt_dataset.py', *_arguments(shapes, tmp_path / 'out'),
                                *options)
    assert code == 2
    assert message in stderr
    assert 'Traceback' not in stderr
    assert not stdout
    assert not (tmp_path / 'out').exists()


def test_nothing_is_written_over(tool, shapes, tmp_path):
    arguments = _arguments(shapes, tmp_path / 'out')
    assert tool('encrypt_dataset.py', *arguments)[0] == 0
    before = (tmp_path / 'out/manifest.json').stat().st_mtime_ns
    code, _, stderr = tool('encrypt_dataset.py', *arguments)
    assert code == 2
    assert '--resume goes on with it' in stderr
    assert (tmp_path / 'out/manifest.json').stat().st_mtime_ns == before


@pytest.mark.parametrize('content', [
    b'', b'{}', b'\xff' * 9, b'[' * 100_000, json.dumps(dict(
        format='mmppvit sealed data set', version=1, scheme=7)).encode(), None,
], ids=['empty', 'no-format', 'bytes', 'deep', 'digest', 'missing'])
def test_broken_manifests_are_one_line(tool, tmp_path, content):
    (tmp_path / 'sealed').mkdir()
    if content is not None:
        (tmp_path / 'sealed/manifest.json').write_bytes(content)
    for name, more in (('verify_sealed.py', []), ('decrypt_dataset.py', ['--out', 'new'])):
        code, stdout, stderr = tool(name, tmp_path / 'sealed', *more)
        assert code == 2
        assert not stdout
        lines = [line for line in stderr.splitlines() if line.strip()]
        assert lines[-1].startswith('error: ')
        assert 'Traceback' not in stderr


def test_problems_are_one_a_line(tool, shapes, tmp_path):
    assert tool('encrypt_dataset.py', *_arguments(shapes, tmp_path / 'out'))[0] == 0
    (tmp_path / 'out/images/000000000001.png').unlink()
    (tmp_path / 'out/plain.jpg').touch()
    code, stdout, _ = tool('verify_sealed.py', tmp_path / 'out')
    assert code == 1
    assert len(stdout.splitlines()) == 3
    assert 'plain.jpg: is not part of the data set' in stdout
    assert '2 problems' in stdout.splitlines()[-1]


@pytest.mark.parametrize(('scheme', 'more'), [
    ('blur', ['--strength', '2']), ('pixelate', ['--strength', '8']),
    ('noise', ['--strength', '9']), ('downsample', []), ('downsample+shuffle', ['--grid', '4'])])
def test_baselines(tool, shapes, tmp_path, scheme, more):
    key = []
    if 'shuffle' in scheme:
        Key.create(tmp_path / 'owner.key')
        key = ['--key-file', tmp_path / 'owner.key']
    out = tmp_path / 'sealed'
    code, stdout, stderr = tool('encrypt_dataset.py', *_arguments(shapes, out, scheme, *key, *more))
    assert code == 0, stderr
    assert f'{out}: 3 files written' in stdout
    sealed = json.loads((out / 'manifest.json').read_text())['scheme']
    assert sealed['strength'] == (float(more[1]) if more and not key else 0)
    assert sealed['grid'] == {'downsample': 2, 'downsample+shuffle': 4}.get(scheme, 1)
    code, stdout, _ = tool('verify_sealed.py', out, *key)
    assert code == 0
    assert f'scheme {scheme}' in stdout
    code, _, stderr = tool('decrypt_dataset.py', out, '--out', tmp_path / 'plain', '--key-file',
                           tmp_path / 'owner.key')
    assert code == 2
    assert f'scheme {scheme} cannot be undone' in stderr


def test_a_strength_that_is_missing_or_has_no_meaning(tool, shapes, tmp_path):
    out = tmp_path / 'sealed'
    code, _, stderr = tool('encrypt_dataset.py', *_arguments(shapes, out, 'blur'))
    assert code == 2
    assert 'strength of scheme blur, the sigma in pixels, must be above 0' in stderr
    code, _, stderr = tool('encrypt_dataset.py', *_arguments(shapes, out, 'mix', '--strength', '2'))
    assert code == 2
    assert 'scheme mix has no strength' in stderr
    assert not out.exists()
