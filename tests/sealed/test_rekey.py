"""Another key, a lost manifest, names behind pseudonyms, metadata that is sealed."""
from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from mmppvit.encryption import Key, Scheme, unshuffle_patches
from mmppvit.sealed import (
    ANNOTATIONS,
    MANIFEST,
    Manifest,
    ManifestError,
    check_sealed,
    restore_dataset,
    seal_dataset,
)
from mmppvit.sealed.image_files import decode_image
from mmppvit.sealed.pseudonyms import name_of, names_of, pseudonym
from mmppvit.sealed.rekey import rekey_dataset
from mmppvit.sealed.repair import repair_dataset
from mmppvit.sealed.sealed_metadata import decrypt_stream, encrypt_stream
from tests.sealed.jobs import content_of, make_job, two_scales

NEW = Key(bytes(range(1, 33)))


@pytest.mark.parametrize('options', [{}, dict(pseudonyms=True), dict(seal_metadata=True)])
def test_another_key(plain, key, tmp_path, options):
    """What is restored with the new key are the plain images; the old key is refused."""
    job = make_job(plain, tmp_path / 'old', key, Scheme('shuffle', grid=1), **options)
    seal_dataset(job)
    moved = rekey_dataset(Manifest.load(job.out), key, NEW, tmp_path / 'new')
    assert check_sealed(tmp_path / 'new', NEW).problems == []
    assert moved.counter == 2
    with pytest.raises(ManifestError, match='name the key file it was sealed with'):
        moved.check_key(key)
    moved.check_key(NEW)
    restore_dataset(Manifest.load(job.out), key, tmp_path / 'first')
    restore_dataset(moved, NEW, tmp_path / 'second')
    old, new = Manifest.load(job.out), moved
    old.check_key(key)
    assert sorted(names_of(old, key).values()) == sorted(names_of(new, NEW).values())
    assert sorted(path.read_bytes() for path in (tmp_path / 'first/images').rglob('*.png')) == \
        sorted(path.read_bytes() for path in (tmp_path / 'second/images').rglob('*.png'))
    nonces = {image.nonce for image in old.images}
    assert not nonces & {image.nonce for image in new.images}


def test_dropped_patches_are_not_dropped_twice(plain, key, tmp_path):
    scheme = Scheme('mix+shuffle', drop=.5)
    seal_dataset(make_job(plain, tmp_path / 'old', key, scheme))
    moved = rekey_dataset(Manifest.load(tmp_path / 'old'), key, NEW, tmp_path / 'new')
    old = Manifest.load(tmp_path / 'old')
    for first, second in zip(old.images, moved.images, strict=True):
        in_order = []
        for manifest, image, owner in ((old, first, key), (moved, second, NEW)):
            img = decode_image(manifest.read(image))
            order = scheme.order(owner, image.file, bytes.fromhex(image.nonce), img.shape)
            in_order.append(unshuffle_patches(img, scheme.side, order))
        np.testing.assert_array_equal(*in_order)


@pytest.mark.parametrize('with_key', [True, False])
@pytest.mark.parametrize('damage', ['lost', 'empty', 'edited', 'file'])
def test_repair(plain, key, whole, tmp_path, with_key, damage):
    """A foreign file is not kept, whatever a manifest says."""
    make = two_scales if with_key else make_job
    job = make(plain, tmp_path / 'out', *((key, ) if with_key else ()))
    seal_dataset(job)
    before = content_of(job.out)
    path = job.out / MANIFEST
    if damage == 'lost':
        path.unlink()
    elif damage == 'empty':
        path.write_bytes(b'')
    elif damage == 'edited':
        path.write_text(path.read_text().replace('"nonce": "', '"nonce": "0', 1).replace(
            '"picture_format": "png"', '"picture_format": "webp"'))
    image = next((job.out).rglob('*.png'))
    image.write_bytes(b'foreign')
    report = repair_dataset(job)
    assert (report.written, report.complete) == (1, True)
    assert content_of(job.out) == before


def test_repair_writes_into_no_other_folder(plain, key, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/thesis').write_text('x')
    with pytest.raises(ValueError, match=r'neither manifest\.json nor images'):
        repair_dataset(make_job(plain, tmp_path / 'out', key))
    assert list(content_of(tmp_path / 'out')) == ['thesis']


def test_pseudonyms_and_the_way_back(key):
    names = ['a.jpg', 'b.jpg', 'sub/ä ö.png', 'x' * 100]
    given = [pseudonym(key, name, 'cells', 'train') for name in names]
    assert [name_of(key, text, 'cells', 'train') for text in given] == names
    assert all(text.isalnum() and text.islower() for text in given)
    assert len({pseudonym(key, 'a.jpg', 'cells', role) for role in ('train', 'val')}) == 2
    assert len(given[0]) == len(given[1])
    for text, owner, role in ((given[0], NEW, 'train'), (given[0], key, 'val'), ('a', key, 'train'),
                              ('a.jpg', key, 'train'), ('é', key, 'train')):
        with pytest.raises(ValueError, match='is no pseudonym'):
            name_of(owner, text, 'cells', role)


def test_a_stolen_folder_tells_neither_boxes_nor_names_nor_sizes(plain, key, tmp_path):
    shutil.copytree(plain / 'images', tmp_path / 'images')
    (tmp_path / 'images/000000000001.png').write_bytes(b'')
    shutil.copy(plain / 'ann.json', tmp_path)
    job = make_job(tmp_path, tmp_path / 'out', key, seal_metadata=True)
    seal_dataset(job)
    public = b''.join(path.read_bytes() for path in job.out.rglob('*.json'))
    data = json.loads((plain / 'ann.json').read_text())
    for item in data['images']:
        assert item['file_name'].rpartition('/')[2].encode() not in public
    assert not (job.out / ANNOTATIONS).exists()
    assert not [word for word in (b'"plain"', b'"scaled"', b'bbox', b'"source"', b'is empty')
                if word in public]
    locked = Manifest.load(job.out)
    assert [image.file for image in locked.images] == sorted(image.file for image in locked.images)
    with pytest.raises(ManifestError, match='only the key opens it'):
        locked.read_annotations()
    assert check_sealed(job.out).problems == []  # what can be checked without the key
    opened = Manifest.load(job.out)
    opened.check_key(key)
    assert opened.read_annotations()['annotations'] == [
        ann for ann in data['annotations'] if ann['image_id'] != 1]
    assert set(names_of(opened, key).values()) == {
        item['file_name'] for item in data['images'][1:]}
    assert [name_of(key, name, '', '') for name, _ in opened.skipped] == ['000000000001.png']
    assert check_sealed(job.out, key).problems == []
    assert seal_dataset(job, resume=True).kept == 7


@pytest.mark.parametrize('change', [
    lambda sealed: sealed[:-1], lambda sealed: sealed + b'x', lambda sealed: b'', lambda s: s[:42],
    lambda sealed: sealed[:42 + 65552] + sealed[42 + 2 * 65552:],
    lambda sealed: sealed[:42 + 2 * 65552],
    lambda sealed: sealed[:42] + sealed[42 + 65552:42 + 2 * 65552] + sealed[42:42 + 65552] +
    sealed[42 + 2 * 65552:],
    lambda sealed: sealed[:30] + bytes([sealed[30] ^ 1]) + sealed[31:],
], ids=['short', 'long', 'empty', 'head', 'dropped', 'cut', 'swapped', 'salt'])
def test_chunks_cannot_be_moved(key, change):
    content = bytes(range(256)) * 600
    sealed = encrypt_stream(content, key)
    assert decrypt_stream(sealed, key) == content
    assert encrypt_stream(content, key) == sealed
    for wrong, owner in ((change(sealed), key), (sealed, NEW)):
        with pytest.raises(ValueError, match=r'changed or cut short|not sealed metadata'):
            decrypt_stream(wrong, owner)


@pytest.mark.parametrize('length', [0, 1, 65535, 65536, 65537, 131072])
def test_any_length(key, length):
    assert decrypt_stream(encrypt_stream(bytes(length), key), key) == bytes(length)
