"""Sealed data sets in a store: the same promises as in a folder, through fsspec."""
from __future__ import annotations

import shutil

import pytest

from mmppvit.cli.app import main
from mmppvit.sealed import Manifest, ManifestError, check_sealed, pack_dataset
from mmppvit.utils.remote_files import RemotePath, as_place
from mmppvit.utils.user_errors import UserError
from tests.sealed.jobs import content_of
from tests.stores import uploaded

fsspec = pytest.importorskip('fsspec')


@pytest.fixture(autouse=True)
def store():
    """fsspec's store in memory, empty again afterwards."""
    store = fsspec.filesystem('memory')
    yield store
    store.store.clear()


@pytest.fixture(scope='module')
def packed(whole, key, tmp_path_factory):
    out = tmp_path_factory.mktemp('packed') / 'set'
    pack_dataset(Manifest.load(whole), key, out, 10_000)
    return out


@pytest.mark.parametrize('kind', ['folder', 'packed'])
def test_the_same_set(whole, packed, key, kind):
    before = Manifest.load(whole if kind == 'folder' else packed)
    root = uploaded(before.root, 'memory://bucket/set')
    manifest = Manifest.load('memory://bucket/set')
    manifest.check_key(key)
    assert list(manifest.images) == list(before.images)
    for image in before.images:
        assert manifest.by_file[image.file] == image
        assert manifest.read(image) == before.read(image)
    assert manifest.read_annotations() == before.read_annotations()
    assert manifest.missing_files() == []
    report = check_sealed(root, key)
    assert (report.problems, report.good) == ([], len(before.images))
    assert check_sealed(root, key, subset='1/3').problems == []


FAULTS = {
    'another byte': lambda store, file: store.store[file].seek(700) and store.store[file].write(
        b'\x55\xaa\x33'),
    'longer': lambda store, file: store.store[file].seek(0, 2) and store.store[file].write(b'x'),
    'missing': lambda store, file: store.rm_file(file),
    'one more': lambda store, file: store.pipe_file('/bucket/set/images_96x64/plain.jpg', b'x'),
    'json': lambda store, file: store.pipe_file('/bucket/set/annotations.json', b'{}'),
}


@pytest.mark.parametrize('fault', FAULTS)
@pytest.mark.parametrize('kind', ['folder', 'packed'])
def test_every_edit_is_found(whole, packed, key, kind, fault, store):
    root = uploaded(whole if kind == 'folder' else packed, 'memory://bucket/set')
    image = Manifest.load(whole).images[0]
    FAULTS[fault](store, f'/bucket/set/{image.file}' if kind == 'folder'
                  else '/bucket/set/shards/000000.tar')
    assert check_sealed(root, key).problems
    if fault in ('another byte', 'missing') or (kind, fault) == ('folder', 'longer'):
        with pytest.raises(ManifestError):
            Manifest.load(root).read(image)


def test_another_manifest_is_refused(whole, key, store):
    root = uploaded(whole, 'memory://bucket/set')
    content = (whole / 'manifest.json').read_bytes()
    store.pipe_file('/bucket/set/manifest.json', content.replace(b'mix', b'mxi', 1))
    with pytest.raises(ManifestError, match='edited or damaged'):
        Manifest.load(root)
    with pytest.raises(ManifestError, match=r'no memory://bucket/none/manifest\.json'):
        Manifest.load('memory://bucket/none')


def test_packing_into_a_store(whole, packed, key, store):
    manifest = pack_dataset(Manifest.load(whole), key, 'memory://bucket/set', 10_000)
    assert manifest.root == RemotePath('memory://bucket/set')
    assert check_sealed(manifest.root, key).problems == []
    assert {file.removeprefix('/bucket/set/'): content.getvalue()
            for file, content in store.store.items()} == {
        path.relative_to(packed).as_posix(): path.read_bytes()
        for path in packed.rglob('*') if path.is_file()}
    with pytest.raises(ValueError, match='not empty'):
        pack_dataset(Manifest.load(whole), key, 'memory://bucket/set')
    with pytest.raises(ValueError, match='not empty'):
        pack_dataset(Manifest.load(whole), key, 'memory://bucket')


def test_from_a_store_into_a_folder(whole, packed, key, tmp_path):
    uploaded(whole, 'memory://bucket/set')
    pack_dataset(Manifest.load('memory://bucket/set'), key, tmp_path / 'set', 10_000)
    assert content_of(tmp_path / 'set') == content_of(packed)


def test_a_killed_packing_starts_over(whole, key, store, monkeypatch):
    writes, write = [], RemotePath.upload

    def die_later(path, file):
        writes.append(path)
        if len(writes) == 3:
            raise KeyboardInterrupt
        write(path, file)

    monkeypatch.setattr(RemotePath, 'upload', die_later)
    with pytest.raises(KeyboardInterrupt):
        pack_dataset(Manifest.load(whole), key, 'memory://bucket/set', 5_000)
    with pytest.raises(ManifestError, match=r'no .*manifest'):
        Manifest.load('memory://bucket/set')
    assert len([file for file in store.store if 'shards/' in file]) == 2
    manifest = pack_dataset(Manifest.load(whole), key, 'memory://bucket/set', 10**6)
    assert len(manifest.packed['shards']) == 1
    assert check_sealed(manifest.root, key).problems == []


def test_commands_take_urls(whole, key, tmp_path, capsys):
    shutil.copytree(whole, tmp_path / 'set')
    assert main(['pack', str(tmp_path / 'set'), '--out', 'memory://bucket/set',
                 '--key-file', str(key._path)]) == 0
    assert main(['verify', 'memory://bucket/set', '--key-file', str(key._path)]) == 0
    assert 'all is well' in capsys.readouterr().out
    assert main(['seal', '--img-dir', str(tmp_path), '--out', 's3://bucket/set',
                 '--scheme', 'mix']) == 2
    assert 'mmppvit pack FOLDER --out URL' in capsys.readouterr().err
    assert main(['verify', 'memory://bucket/none']) == 2
    assert main(['verify', 'nosuchstore://bucket/none']) == 2


def test_what_a_store_raises_is_one_line(store, monkeypatch):
    path = RemotePath('memory://user:secret@bucket/set/manifest.json')

    def fail(*args, **kwargs):
        raise RuntimeError('no\nroute to memory://user:secret@bucket')

    monkeypatch.setattr(type(store), 'cat_file', fail)
    with pytest.raises(ManifestError, match='no route to') as error:
        Manifest.load(path.parents[0])
    assert 'secret' not in str(error.value)
    assert '\n' not in str(error.value)


def test_only_fsspec_reads_parts():
    with pytest.raises(UserError, match="backend='fsspec'"):
        as_place('s3://bucket/set', dict(backend='petrel'))
    assert as_place('memory://a', dict(backend='fsspec', x=1)).options == dict(x=1)
    assert [str(path) for path in as_place('s3://b/c/d').parents] == ['s3://b/c', 's3://b']
