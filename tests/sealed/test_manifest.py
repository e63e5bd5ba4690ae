"""The manifest: what was edited is found, and what is not one gives nothing but an error."""
from __future__ import annotations

import copy
import hashlib
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import ANNOTATIONS, MANIFEST, Manifest, ManifestError, SealJob, seal_dataset
from mmppvit.sealed.manifest_format import canonical

KEY = Key(bytes(range(32)))


@pytest.fixture(scope='module')
def sealed(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('manifest')
    (root / 'plain').mkdir()
    images = []
    for i, name in enumerate('ab'):
        img = np.random.default_rng(i).integers(0, 256, (32, 48, 3), dtype=np.uint8)
        cv2.imwrite(str(root / 'plain' / f'{name}.png'), img)
        images.append(dict(id=i, file_name=f'{name}.png', width=48, height=32))
    (root / 'ann.json').write_text(json.dumps(dict(images=images, annotations=[], categories=[])))
    seal_dataset(SealJob(root / 'plain', root / 'sealed', Scheme('mix+shuffle'),
                         root / 'ann.json', KEY))
    (root / 'secret').write_bytes(b'plain')
    return root / 'sealed'


def _data(root: Path) -> dict:
    return json.loads((root / MANIFEST).read_text())


def _forge(root: Path, data: dict) -> None:
    """Write a manifest whose digest fits, as anybody can; the signature stays what it was."""
    content = {k: v for k, v in data.items() if k not in ('digest', 'signature')}
    data['digest'] = hashlib.sha256(canonical(content)).hexdigest()
    (root / MANIFEST).write_text(json.dumps(data))


def _load(root: Path) -> Manifest:
    """In pieces and whole, which find the same."""
    found = []
    for in_pieces in (True, False):
        try:
            manifest, error = Manifest.load(root, in_pieces=in_pieces), None
            signed = None
            try:
                manifest.check_key(KEY)
            except ManifestError as err:
                signed = str(err)
            found.append((list(manifest.images), manifest.skipped, manifest.counter, signed))
        except ManifestError as err:
            error = err
            found.append(None)
    assert found[0] == found[1]
    if error is not None:
        raise error
    return manifest


def test_save_and_load(sealed):
    manifest = _load(sealed)
    assert [image.file for image in manifest.images] == ['images/a.png', 'images/b.png']
    assert manifest.by_file['images/b.png'].scale_factor == (1., 1.)
    before = (sealed / MANIFEST).read_bytes()
    manifest.save(KEY)
    assert (sealed / MANIFEST).read_bytes() == before
    manifest.check_key(KEY)
    with pytest.raises(ManifestError, match='name the key file it was sealed with'):
        manifest.check_key(Key(bytes(32)))


FIELDS = ['format', 'version', 'picture_format', 'scales', 'job', 'key', 'annotations', 'skipped',
          'pictures', 'scheme', 'digest', 'signature', 'new', 'name', 'role', 'counter', 'padding',
          'sealed_metadata']


@pytest.mark.parametrize('field', FIELDS)
def test_every_edit_is_found(sealed, tmp_path, field):
    """By the digest, and by the signature where somebody has made the digest fit."""
    data = _data(sealed)
    edits = dict(
        version=1.5, picture_format='webp', scales=[[48, 32]], job='0' * 64, signature='0' * 64,
        annotations='0' * 64, skipped=[['a', 'b']], counter=2, padding='zero',
        pictures=data['pictures'][:1], key=dict(fingerprint='0' * 32, derivation=1),
        scheme=data['scheme'] | dict(erode=1))
    data[field] = edits.get(field, 'x')
    (tmp_path / MANIFEST).write_text(json.dumps(data))
    if field != 'signature':  # it signs the rest
        with pytest.raises(ManifestError):
            _load(tmp_path)
    if field != 'digest':
        _forge(tmp_path, data)
        with pytest.raises(ManifestError):
            _load(tmp_path).check_key(KEY)


@pytest.mark.parametrize('signature', ['é', None, 7, [], 'x' * 64])
def test_odd_signatures(sealed, tmp_path, signature):
    data = _data(sealed) | dict(signature=signature)
    (tmp_path / MANIFEST).write_text(json.dumps(data))
    with pytest.raises(ManifestError, match='not what the holder of the key has signed'):
        _load(tmp_path).check_key(KEY)


HUGE = 10**400
IMAGE = [
    ('file', '../secret'), ('file', '/etc/passwd'), ('file', 'images/../../secret'),
    ('file', 'images\\a.png'), ('file', 'a.png'), ('file', 'images/b.png'), ('file', 3),
    ('file', 'images/\ud800.png'), ('file', 'images/a\0.png'), ('source', None), ('scale', 1),
    ('scale', -1), ('scale', True), ('scale', HUGE), ('plain', [0, 1]), ('plain', [HUGE, 1]),
    ('plain', [1.5, 1]), ('scaled', [48]), ('size', [48, 32]), ('bytes', 0), ('bytes', '9'),
    ('sha256', 'A' * 64), ('nonce', ''), ('nonce', 10**31), ('more', 1),
]
TOP = [
    ('scheme', dict()), ('scheme', None), ('scales', []), ('scales', [None, [9, 9]]),
    ('scales', [[9, HUGE]]), ('key', None), ('key', dict(fingerprint=10**31, derivation=1)),
    ('key', dict(fingerprint='0' * 32, derivation=2)), ('job', ''), ('skipped', 3),
    ('skipped', [[1, 2, 3]]), ('pictures', None), ('pictures', [None]), ('annotations', '../x'),
    ('name', 7), ('name', 'a\nb'), ('role', None), ('role', '\x1b[2J'), ('counter', 0),
    ('counter', True), ('counter', HUGE), ('padding', 'black'), ('sealed_metadata', '../x'),
    ('root', '/'), ('by_file', {}), ('new\nline', 1), ('picture_format', 'jpg'),
]
SCHEME = [('patch_size', HUGE), ('patch_size', 10**12 + 1), ('patch_size', 7), ('grid', 0),
          ('grid', 2.5), ('center_strength', HUGE), ('drop', 2), ('name', 'xor'), ('name', []),
          ('erode', 99)]


@pytest.mark.parametrize(('where', 'field', 'value'), [
    *(('pictures', *item) for item in IMAGE), *((None, *item) for item in TOP),
    *(('scheme', *item) for item in SCHEME),
], ids=lambda value: ascii(value)[:30])
def test_what_makes_no_sense_is_refused(sealed, tmp_path, where, field, value):
    data = _data(sealed)
    {'pictures': data['pictures'][0], 'scheme': data['scheme'], None: data}[where][field] = value
    _forge(tmp_path, data)
    with pytest.raises(ManifestError, match='not a valid manifest') as caught:
        _load(tmp_path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('content', [
    b'', b'{', b'[]', b'null', b'\xff\xfe', b'{"a": NaN}', b'{"format": 1e999}', b'9' * 5000,
    b'[' * 200_000, b'{"a":' * 200_000, b'{}', b'\0' * 64,
], ids=lambda value: ascii(value[:12]))
def test_what_is_no_manifest(tmp_path, content):
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(ManifestError):
        _load(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(ManifestError, match='--resume'):
        _load(tmp_path)
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(ManifestError, match='cannot be read'):
        _load(tmp_path)


@pytest.mark.parametrize('field', ['version', 'scales', 'skipped', 'scheme', 'signature', 'key'])
def test_deep_nesting(sealed, tmp_path, field):
    """Around the depth at which Python's own JSON and repr give up."""
    data = _data(sealed)
    for depth in range(300, 1001, 7):
        data[field] = '@'
        text = json.dumps(data).replace('"@"', f'[["x", {"[" * depth}{"]" * depth}]]')
        try:
            nested = json.loads(text)
            _forge(tmp_path, nested)
        except RecursionError:
            (tmp_path / MANIFEST).write_text(text)
        for in_pieces in (False, True):
            with pytest.raises(ManifestError):
                Manifest.load(tmp_path, in_pieces=in_pieces).check_key(KEY)


def _places(item: object, path: tuple = ()) -> list[tuple]:
    inner = item.items() if isinstance(item, dict) else \
        enumerate(item) if isinstance(item, list) else ()
    return [path, *(place for key, value in inner for place in _places(value, (*path, key)))]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) |
    st.sampled_from([HUGE, -1, 2**63, '../secret', '/etc/passwd', 'images/../../secret',
                     'images/link.png', 'images/loop.png', 'images', 'images/pipe.png',
                     'images/' + 'x' * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                                max_size=3), max_leaves=6)


@pytest.fixture(scope='module')
def hostile(sealed) -> Path:
    """A copy with links that lead outside, in circles, and a pipe."""
    root = sealed.parent / 'hostile'
    (root / 'images').mkdir(parents=True)
    for name in ('a.png', 'b.png'):
        (root / 'images' / name).write_bytes((sealed / 'images' / name).read_bytes())
    (root / 'images/link.png').symlink_to('../../secret')
    (root / 'images/loop.png').symlink_to('loop.png')
    os.mkfifo(root / 'images/pipe.png')
    return root


@given(st.data())
@settings(max_examples=200)
def test_hostile_manifests(sealed, hostile, data):
    """Whatever is in it: ManifestError, or files of this folder."""
    content = _data(sealed)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(_places(content)[1:]))
        owner = content
        for key in place[:-1]:
            owner = owner[key]
        owner[place[-1]] = data.draw(ANYTHING)
    _forge(hostile, content)
    try:
        manifest = _load(hostile)
    except ManifestError:
        return
    for image in manifest.images:
        try:
            found = manifest.read(image)
        except ManifestError:
            continue
        assert found == (hostile / 'images' / Path(image.file).name).read_bytes()
        assert Path(os.path.realpath(hostile / image.file)).is_relative_to(hostile)


@pytest.mark.parametrize(('name', 'message'), [
    ('link.png', 'outside'), ('loop.png', 'cannot be read'), ('pipe.png', 'not a regular file'),
    ('gone.png', 'No such file'), ('x' * 300 + '.png', 'cannot be read'),
], ids=['link', 'loop', 'pipe', 'gone', 'long'])
def test_files_that_are_none(sealed, hostile, name, message):
    content = _data(sealed)
    secret = b'plain'
    content['pictures'][0].update(file=f'images/{name}', bytes=len(secret),
                                  sha256=hashlib.sha256(secret).hexdigest())
    _forge(hostile, content)
    manifest = _load(hostile)
    with pytest.raises(ManifestError, match=message):
        manifest.read(manifest.images[0])


def test_annotations_by_a_link_to_the_outside(sealed, hostile):
    content = copy.deepcopy(_data(sealed))
    secret = (sealed / ANNOTATIONS).read_bytes()
    (hostile / ANNOTATIONS).symlink_to(sealed / ANNOTATIONS)
    assert hashlib.sha256(secret).hexdigest() == content['annotations']
    _forge(hostile, content)
    with pytest.raises(ManifestError, match='outside'):
        _load(hostile).read_annotations()
    (hostile / ANNOTATIONS).unlink()
    with pytest.raises(ManifestError, match='missing'):
        _load(hostile).read_annotations()


@given(st.binary(max_size=64))
@settings(max_examples=100)
def test_random_bytes(hostile, content):
    (hostile / MANIFEST).write_bytes(content)
    with pytest.raises(ManifestError):
        _load(hostile)


def test_the_key_is_checked_before_and_after_a_manifest_is_written(tmp_path):
    manifest = Manifest(root=tmp_path, scheme=Scheme('mix+shuffle'), image_format='png',
                        scales=[None], job='', key=dict(fingerprint=KEY.fingerprint))
    with pytest.raises(ManifestError, match='not what the holder of the key has signed'):
        manifest.check_key(KEY)
    with pytest.raises(ManifestError, match='was sealed with the key of fingerprint'):
        manifest.check_key(Key(bytes(32)))
    manifest.save(KEY)
    manifest.check_key(KEY)
