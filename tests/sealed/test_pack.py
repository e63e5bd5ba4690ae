"""A packed data set is the sealed one: same images, same promises, read from tar shards."""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile

import numpy as np
import pytest

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import (
    Manifest,
    ManifestError,
    SealJob,
    check_sealed,
    pack_dataset,
    restore_dataset,
    seal_dataset,
)
from mmppvit.sealed import pack as pack_module
from mmppvit.sealed.merkle import build_tree, leaf_hash, proof_of, root_from
from mmppvit.sealed.rekey import rekey_dataset
from tests.sealed.jobs import content_of, make_job


@pytest.fixture(scope='module')
def packed(whole, key, tmp_path_factory):
    out = tmp_path_factory.mktemp('packed') / 'set'
    pack_dataset(Manifest.load(whole, in_pieces=True), key, out, 10_000)
    return out


def test_the_same_images_from_a_few_files(packed, whole, key):
    before, after = Manifest.load(whole), Manifest.load(packed)
    after.check_key(key)
    assert list(after.images) == before.images
    assert after.images[3:5] == before.images[3:5]
    assert after.images[-1] == before.images[-1]
    for image in before.images:
        assert after.by_file[image.file] == image
        assert after.read(image) == before.read(image)
    assert after.read_annotations() == before.read_annotations()
    assert 1 < len(list((packed / 'shards').iterdir())) < len(before.images)
    assert check_sealed(packed, key).problems == []
    assert check_sealed(packed, key, subset='1/2').problems == []
    assert 'images/none.png' not in after.by_file


def test_images_in_pieces(whole):
    images = Manifest.load(whole, in_pieces=True).images
    expected = Manifest.load(whole).images
    assert (len(images), list(images)) == (len(expected), expected)
    assert (images[0], images[-1]) == (expected[0], expected[-1])
    assert images[9:2:-3] == expected[9:2:-3]
    with pytest.raises(IndexError):
        images[len(expected)]


def test_tar_reads_it(packed, whole):
    found = {}
    for path in sorted((packed / 'shards').iterdir()):
        with tarfile.open(path) as file:
            for member in file:
                assert (member.mtime, member.uid, member.uname) == (0, 0, '')
                found[member.name] = file.extractfile(member).read()
    assert found == {image.file: (whole / image.file).read_bytes()
                     for image in Manifest.load(whole).images}


def test_webdataset_reads_it(packed, whole):
    webdataset = pytest.importorskip('webdataset', reason='pip install webdataset')
    urls = [str(path) for path in sorted((packed / 'shards').iterdir())]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert {f'{sample["__key__"]}.png': sample['png'] for sample in samples} == {
        image.file: (whole / image.file).read_bytes() for image in Manifest.load(whole).images}


def test_the_same_bytes_again_also_after_a_kill(packed, whole, key, tmp_path, monkeypatch):
    def die(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(pack_module, 'write_index', die)
    with pytest.raises(KeyboardInterrupt):
        pack_dataset(Manifest.load(whole), key, tmp_path / 'set', 20_000)
    monkeypatch.undo()
    with pytest.raises(ManifestError, match=r'no .*manifest'):
        Manifest.load(tmp_path / 'set')
    pack_dataset(Manifest.load(whole), key, tmp_path / 'set', 10_000)
    assert content_of(tmp_path / 'set') == content_of(packed)


def test_killed_after_the_last_file(packed, whole, key, tmp_path):
    """What is left of the run is no fault of the set, and goes when it is packed again."""
    out = shutil.copytree(packed, tmp_path / 'set')
    (out / '.packing').touch()
    assert check_sealed(out, key).problems == []
    pack_dataset(Manifest.load(whole), key, out, 10_000)
    assert content_of(out) == content_of(packed)
    (out / '.packing').write_bytes(b'\xff\xd8 an image')
    assert [problem.file for problem in check_sealed(out, key).problems] == ['.packing']
    other = tmp_path / 'other'
    seal_dataset(SealJob(whole / 'images_96x64', other, Scheme('mix'), name='other'))
    with pytest.raises(ValueError, match='not empty'):
        pack_dataset(Manifest.load(other), None, out)


def _flip(path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


EDITS = {
    'image': lambda root: _flip(root / 'shards/000000.tar', 700),
    'header': lambda root: _flip(root / 'shards/000000.tar', 150),
    'end': lambda root: _flip(root / 'shards/000000.tar', -1),
    'entry': lambda root: _flip(root / 'entries.jsonl', 40),
    'entry taken away': lambda root: (root / 'entries.jsonl').write_bytes(
        b''.join((root / 'entries.jsonl').read_bytes().splitlines(True)[1:])),
    'root': lambda root: (root / 'manifest.json').write_text(
        (root / 'manifest.json').read_text().replace('"count": 16', '"count": 15')),
    'shard missing': lambda root: (root / 'shards/000001.tar').unlink(),
    'one more file': lambda root: (root / 'shards/plain.jpg').write_bytes(b'\xff\xd8'),
}


@pytest.mark.parametrize('edit', EDITS)
def test_every_edit_is_found(packed, key, tmp_path, edit):
    root = shutil.copytree(packed, tmp_path / 'set')
    EDITS[edit](root)
    try:
        problems = check_sealed(root, key).problems
    except ManifestError as err:
        problems = [str(err)]
    assert problems


@pytest.mark.parametrize('name', ['entries.tree', 'entries.index', 'entries.jsonl'])
def test_one_image_is_checked_alone(packed, whole, key, tmp_path, name):
    """Whatever is in tree and index: never anything that was not signed."""
    images = Manifest.load(whole).images
    rng = np.random.default_rng(0)
    size, found = (packed / name).stat().st_size, 0
    root = shutil.copytree(packed, tmp_path / 'set')
    content = (root / name).read_bytes()
    for position in rng.integers(0, size, 40):
        _flip(root / name, int(position))
        manifest = Manifest.load(root)
        manifest.check_key(key)
        for image in images:
            try:
                assert manifest.by_file[image.file] == image
                found += 1
            except (ManifestError, KeyError):
                pass
        (root / name).write_bytes(content)
    assert 0 < found < 40 * len(images)


def test_an_unsigned_set_and_refusals(plain, whole, packed, key, tmp_path):
    seal_dataset(make_job(plain, tmp_path / 'mix'))
    pack_dataset(Manifest.load(tmp_path / 'mix'), None, tmp_path / 'packed')
    assert check_sealed(tmp_path / 'packed').problems == []
    with pytest.raises(ValueError, match='needs the key'):
        pack_dataset(Manifest.load(whole), None, tmp_path / 'x')
    with pytest.raises(ValueError, match='packed already'):
        pack_dataset(Manifest.load(packed), key, tmp_path / 'x')
    with pytest.raises(ValueError, match='not empty'):
        pack_dataset(Manifest.load(tmp_path / 'mix'), None, tmp_path / 'packed')
    with pytest.raises(ManifestError, match='name the key file'):
        pack_dataset(Manifest.load(whole), Key.create(tmp_path / 'other.key'), tmp_path / 'x')
    with pytest.raises(ValueError, match='is packed into shards'):
        seal_dataset(make_job(plain, tmp_path / 'packed'), resume=True)
    damaged = shutil.copytree(tmp_path / 'mix', tmp_path / 'damaged')
    _flip(damaged / Manifest.load(damaged).images[0].file, -20)
    with pytest.raises(ManifestError, match='not what was sealed'):
        pack_dataset(Manifest.load(damaged), None, tmp_path / 'y')


def test_sealed_metadata_stays_sealed(plain, key, tmp_path):
    seal_dataset(make_job(plain, tmp_path / 'set', key, seal_metadata=True))
    pack_dataset(Manifest.load(tmp_path / 'set'), key, tmp_path / 'packed')
    manifest = Manifest.load(tmp_path / 'packed')
    assert manifest.locked
    assert all(image.plain is None for image in manifest.images)
    manifest.check_key(key)
    before = Manifest.load(tmp_path / 'set')
    before.check_key(key)
    assert manifest.images == before.images
    assert manifest.read(before.images[2]) == before.read(before.images[2])
    assert check_sealed(tmp_path / 'packed', key).problems == []


def test_a_damaged_set_beside_the_output_stops_nothing(plain, packed, key, tmp_path):
    beside = shutil.copytree(packed, tmp_path / 'beside')
    _flip(beside / 'entries.jsonl', 40)
    assert seal_dataset(make_job(plain, tmp_path / 'set', key)).complete


def test_rekey_and_restore_unpack(plain, key, tmp_path):
    job = SealJob(plain / 'images', tmp_path / 'set', Scheme('shuffle', grid=1), plain / 'ann.json',
                  key=key)
    seal_dataset(job)
    packed = pack_dataset(Manifest.load(job.out), key, tmp_path / 'packed')
    restore_dataset(Manifest.load(job.out), key, tmp_path / 'a')
    restore_dataset(packed, key, tmp_path / 'b')
    assert content_of(tmp_path / 'a') == content_of(tmp_path / 'b')
    new = Key.create(tmp_path / 'new.key')
    rekey_dataset(packed, key, new, tmp_path / 'rekeyed')
    assert check_sealed(tmp_path / 'rekeyed', new).problems == []
    assert json.loads((tmp_path / 'rekeyed/manifest.json').read_text())['version'] == 4


@pytest.mark.parametrize('count', [1, 2, 3, 5, 8, 13])
def test_every_leaf_leads_to_the_root(count):
    leaves = [leaf_hash(bytes([i])) for i in range(count)]
    tree = build_tree(leaves)
    for i, leaf in enumerate(leaves):
        proof = [tree[32 * n:32 * n + 32] for n in proof_of(i, count)]
        assert root_from(leaf, i, count, proof) == tree[-32:]
        assert root_from(leaf_hash(b'other'), i, count, proof) != tree[-32:]


@pytest.mark.parametrize(('name', 'use'), [
    ('entries.jsonl', list), ('entries.jsonl', lambda images: images[0]),
    ('entries.tree', lambda images: images[0]), ('entries.index', lambda images: images[0])])
def test_a_pipe_is_not_waited_for(packed, tmp_path, name, use):
    root = shutil.copytree(packed, tmp_path / 'set')
    (root / name).unlink()
    os.mkfifo(root / name)
    images = Manifest.load(root).images
    with pytest.raises(ManifestError, match='not a regular file'):
        use(images)


def test_lines_without_end_are_not_all_read(packed, tmp_path):
    root = shutil.copytree(packed, tmp_path / 'set')
    (root / 'entries.jsonl').write_bytes(b'\n' * 10**6)
    manifest = Manifest.load(root)
    lines = list(manifest.entries._lines())
    assert len(lines) == len(manifest.images) + 1
    with pytest.raises(ManifestError, match='was edited or damaged'):
        list(manifest.images)


def test_an_index_of_one_name_is_not_searched(packed, tmp_path):
    root = shutil.copytree(packed, tmp_path / 'set')
    content = bytearray((root / 'entries.index').read_bytes())
    count = len(Manifest.load(root).images)
    file = Manifest.load(root).images[0].file
    content[:8 * count] = hashlib.sha256(file.encode()).digest()[:8] * count
    (root / 'entries.index').write_bytes(content)
    with pytest.raises(ManifestError, match=r'entries\.index was edited'):
        Manifest.load(root).by_file[file]
