"""Nothing that is not authentic is kept by a resumed run, and so nothing such is ever signed."""
from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import MANIFEST, Manifest, ManifestError, SealJob, seal_dataset, verify_sealed
from mmppvit.sealed.image_files import encode_image
from mmppvit.sealed.manifest_format import canonical
from tests.sealed.jobs import FORK, content_of, die, make_job, seal_and_exit, two_scales


def _renew_digest(root: Path, data: dict) -> None:
    """What anybody can do to a manifest."""
    content = {k: v for k, v in data.items() if k not in ('digest', 'signature')}
    data['digest'] = hashlib.sha256(canonical(content)).hexdigest()
    (root / MANIFEST).write_text(json.dumps(data))


@pytest.fixture
def copied(plain, tmp_path) -> Path:
    """The plain images, to change them."""
    return shutil.copytree(plain, tmp_path / 'plain')


def _interrupted(job: SealJob, after: int = 5) -> Path:
    """Its journal, of a run that died after some images."""
    child = FORK.Process(target=seal_and_exit, args=(job, ), kwargs=dict(
        progress=lambda done, _: die() if done == after else None))
    child.start()
    child.join()
    return job.out / '.sealing/shard-0-of-1.jsonl'


def test_swapped_files_are_not_signed_by_mending_another(copied, key, tmp_path):
    """Two files and their rows are swapped, and one image is there to be repaired."""
    name = '000000000001.png'
    (copied / 'images' / name).rename(tmp_path / name)
    job = make_job(copied, tmp_path / 'out', key)
    assert len(seal_dataset(job).skipped) == 1
    (tmp_path / name).rename(copied / 'images' / name)
    data = json.loads((job.out / MANIFEST).read_text())
    first, second = data['pictures'][:2]
    for field in ('bytes', 'sha256', 'nonce'):
        first[field], second[field] = second[field], first[field]
    a, b = job.out / first['file'], job.out / second['file']
    content = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(content)
    _renew_digest(job.out, data)
    before = content_of(job.out)
    with pytest.raises(ManifestError, match='not what the holder of the key has signed'):
        seal_dataset(job, resume=True)
    assert content_of(job.out) == before
    (job.out / MANIFEST).unlink()  # the remedy that the message names
    (job.out / '.sealing').mkdir()
    report = seal_dataset(job, resume=True)
    assert (report.written, report.kept) == (3, 5)  # the swapped ones and the repaired one
    assert not list(verify_sealed(job.out, key))


@pytest.mark.parametrize('forge', ['nonce', 'foreign', 'appended', 'unsigned', 'outside'])
def test_what_others_write_into_a_journal_is_not_kept(plain, key, whole, tmp_path, forge):
    job = two_scales(plain, tmp_path / 'out', key)
    journal = _interrupted(job)
    lines = journal.read_text().splitlines()
    entry = json.loads(lines[2])
    if forge == 'nonce':
        entry['files'][0]['nonce'] = '0' * 32
    elif forge in ('foreign', 'appended'):
        old = entry['files'][0]
        content = encode_image(np.zeros((*old['size'][::-1], 3), np.uint8), 'png')
        (job.out / old['file']).write_bytes(content)
        old.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    elif forge == 'unsigned':
        del entry['mac']
    else:
        entry['files'][0]['file'] = '../../secret'
    if forge == 'appended':
        lines.append(json.dumps(entry))
    else:
        lines[2] = json.dumps(entry)
    journal.write_text('\n'.join(lines) + '\n')
    assert seal_dataset(job, resume=True).complete
    assert content_of(job.out) == content_of(whole)


def test_a_line_of_another_part_or_state_does_not_count(plain, key, whole, tmp_path):
    """A journal of part 0 of 2 that says it is through, as part 1."""
    jobs = [two_scales(plain, tmp_path / 'out', key, shard=(i, 2)) for i in range(2)]
    seal_dataset(jobs[0])
    work = jobs[0].out / '.sealing'
    shutil.copy(work / 'shard-0-of-2.jsonl', work / 'shard-1-of-2.jsonl')
    assert not seal_dataset(jobs[0], resume=True).complete
    assert seal_dataset(jobs[1], resume=True).kept == 0
    assert content_of(jobs[0].out) == content_of(whole)


@pytest.mark.parametrize('with_key', [True, False])
def test_lines_taken_away_do_not_take_images_away(plain, key, tmp_path, with_key):
    """The part says it is through, and is not taken for it."""
    jobs = [make_job(plain, tmp_path / 'out', key if with_key else None, shard=(i, 2))
            for i in range(2)]
    seal_dataset(jobs[0])
    journal = jobs[0].out / '.sealing/shard-0-of-2.jsonl'
    lines = journal.read_text().splitlines()
    journal.write_text('\n'.join([lines[0], *lines[2:]]) + '\n')
    assert not seal_dataset(jobs[1]).complete
    assert seal_dataset(jobs[0], resume=True).complete
    assert len(Manifest.load(jobs[0].out).images) == 8


def test_a_journal_of_an_earlier_state_does_not_count(copied, key, tmp_path):
    """An old journal, with MACs of this very key and job, and the file of that time."""
    job = make_job(copied, tmp_path / 'out', key)
    journal = _interrupted(job, 8)
    saved, file = journal.read_bytes(), next((job.out / 'images').glob('*.png'))
    old = file.read_bytes()
    assert seal_dataset(job, resume=True).complete
    plain = copied / 'images' / file.name
    cv2.imwrite(str(plain), 255 - cv2.imread(str(plain)))
    assert seal_dataset(job, resume=True).written == 1
    newest = content_of(job.out)
    journal.parent.mkdir()
    journal.write_bytes(saved)
    file.write_bytes(old)
    assert seal_dataset(job, resume=True).written == 1
    assert content_of(job.out) == newest


@pytest.mark.parametrize('finished', [True, False])
@pytest.mark.parametrize('with_key', [True, False])
def test_replaced_plain_images_are_noticed(copied, key, tmp_path, finished, with_key):
    job = make_job(copied, tmp_path / 'out', key if with_key else None)
    if finished:
        seal_dataset(job)
    else:
        _interrupted(job)
    path = copied / 'images/000000000001.png'
    cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    report = seal_dataset(job, resume=True)
    assert (report.written, report.kept) == ((1, 7) if finished else (4, 4))
    seal_dataset(replace(job, out=tmp_path / 'clean', counter=2 if finished else 1))
    assert content_of(job.out) == content_of(tmp_path / 'clean')


@pytest.mark.parametrize('finished', [True, False])
def test_without_a_key_everything_is_derived_again(plain, tmp_path, finished):
    """A foreign image whose manifest or journal fits is not kept."""
    job = make_job(plain, tmp_path / 'out')
    if finished:
        seal_dataset(job)
        path = job.out / MANIFEST
        data = json.loads(path.read_text())
        item = data['pictures'][0]
    else:
        path = _interrupted(job)
        lines = path.read_text().splitlines()
        data = json.loads(lines[1])
        item = data['files'][0]
    content = encode_image(np.zeros((*item['size'][::-1], 3), np.uint8), 'png')
    (job.out / item['file']).write_bytes(content)
    item.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    if finished:
        _renew_digest(job.out, data)
    else:
        lines[1] = json.dumps(data)
        path.write_text('\n'.join(lines) + '\n')
    seal_dataset(job, resume=True)
    seal_dataset(replace(job, out=tmp_path / 'clean'))
    assert content_of(job.out / 'images') == content_of(tmp_path / 'clean/images')
    images = Manifest.load(job.out).images
    assert images == Manifest.load(tmp_path / 'clean').images


def test_a_set_without_signature_is_not_signed(plain, key, tmp_path):
    """The scheme needs no key, so the set may have been sealed without one."""
    job = make_job(plain, tmp_path / 'out')
    seal_dataset(job)
    with pytest.raises(ValueError, match='sealed without a key, so it cannot be resumed'):
        seal_dataset(replace(job, key=key), resume=True)
    with pytest.raises(ManifestError, match='nothing in it is signed'):
        Manifest.load(job.out).check_key(key)
    signed = replace(job, out=tmp_path / 'signed', key=key)
    seal_dataset(signed)
    Manifest.load(signed.out).check_key(key)
    assert content_of(signed.out / 'images') == content_of(job.out / 'images')
    with pytest.raises(ValueError, match='sealed with a key, so it cannot be resumed'):
        seal_dataset(replace(signed, key=None), resume=True)


# --- public digests ------------------------------------------------------------------------------


def test_the_job_confirms_no_guess(copied, key, tmp_path):
    """A field that is left out has no part in it, and without the key nobody can try guesses."""
    data = json.loads((copied / 'ann.json').read_text())
    jobs = set()
    for born in ('1970-01-01', '1970-01-02'):
        data['images'][0]['born'] = born
        (copied / 'ann.json').write_text(json.dumps(data))
        for owner in (key, Key(bytes(32))):
            out = tmp_path / f'{born}-{owner.fingerprint}'
            seal_dataset(make_job(copied, out, owner))
            jobs.add(Manifest.load(out).job)
    assert len(jobs) == 2  # one for each key


def test_without_a_key_no_digest_depends_on_the_json(copied, tmp_path):
    """Boxes of an image that was skipped would be confirmed by it."""
    (copied / 'images/000000000001.png').write_bytes(b'')
    data = json.loads((copied / 'ann.json').read_text())
    public = []
    for shift in (0, 1):
        for ann in data['annotations']:
            if ann['image_id'] == data['images'][0]['id']:
                ann['bbox'][0] += shift
        (copied / 'ann.json').write_text(json.dumps(data))
        seal_dataset(make_job(copied, tmp_path / str(shift)))
        public.append((tmp_path / str(shift) / MANIFEST).read_bytes())
    assert public[0] == public[1]


def test_no_public_number_shows_that_two_images_are_equal(copied, key, tmp_path):
    shutil.copy(copied / 'images/000000000001.png', copied / 'images/000000000002.png')
    for name, options in (('a', {}), ('b', dict(name='other'))):
        seal_dataset(make_job(copied, tmp_path / name, key, **options))
    first, second = Manifest.load(tmp_path / 'a').images[:2]
    third = Manifest.load(tmp_path / 'b').images[0]
    for field in ('nonce', 'plain_mac', 'sha256'):
        assert getattr(first, field) != getattr(second, field)
    assert first.plain_mac != third.plain_mac


# --- hostile folders -----------------------------------------------------------------------------


def test_links_in_the_output_folder_are_not_followed(plain, key, tmp_path):
    """A lock file that is a link would have been emptied."""
    job = make_job(plain, tmp_path / 'out', key)
    secret = tmp_path / 'thesis'
    secret.write_text('years of work')
    (job.out / '.sealing').mkdir(parents=True)
    (job.out / '.sealing/shard-0-of-1.lock').symlink_to(secret)
    with pytest.raises(ValueError, match='another process'):
        seal_dataset(job, resume=True)
    shutil.rmtree(job.out)
    (tmp_path / 'elsewhere').mkdir()
    job.out.mkdir()
    (job.out / '.sealing').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(ValueError, match='is a link'):
        seal_dataset(job, resume=True)
    (job.out / '.sealing').unlink()
    (job.out / '.sealing').mkdir()
    (job.out / 'images').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(OSError, match='lies outside'):
        seal_dataset(job, resume=True)
    assert secret.read_text() == 'years of work'
    assert list((tmp_path / 'elsewhere').iterdir()) == []


@pytest.mark.parametrize('name', ['manifest.json', '.sealing/shard-0-of-1.jsonl'])
def test_pipes_are_not_waited_for(plain, tmp_path, name):
    job = make_job(plain, tmp_path / 'out')
    (job.out / '.sealing').mkdir(parents=True)
    os.mkfifo(job.out / name)
    with pytest.raises(ValueError, match='not a regular file'):
        seal_dataset(job, resume=True)


def test_the_manifest_does_not_tell_the_owners_folders(copied, tmp_path):
    names = ['000000000001.png', '000000000002.png', '000000000003.png']
    (copied / 'images' / names[0]).unlink()
    (copied / 'images' / names[0]).symlink_to('/etc/passwd')
    (copied / 'images' / names[1]).write_bytes(b'\x89PNG cut short')
    (copied / 'images' / names[2]).unlink()
    (copied / 'images' / names[2]).mkdir()
    job = make_job(copied, tmp_path / 'out')
    assert [name for name, _ in seal_dataset(job).skipped] == names
    text = (job.out / MANIFEST).read_text()
    assert str(tmp_path) not in text
    assert 'passwd' not in text
    for name, reason in Manifest.load(job.out).skipped:
        assert '/' not in reason
        assert name not in reason


@pytest.mark.parametrize('names', [
    ['x' * 251 + '.jpg', 'x' * 251 + '.png'], ['a.png/b.jpg', 'a.jpg']], ids=['long', 'folder'])
def test_a_name_that_cannot_be_written_does_not_end_the_run(tmp_path, names):
    for name in [*names, 'good.png']:
        (tmp_path / 'images' / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / 'images' / name), np.zeros((16, 16, 3), np.uint8))
    job = SealJob(tmp_path / 'images', tmp_path / 'out', Scheme('mix'))
    report = seal_dataset(job)
    assert report.complete
    assert 1 <= len(report.skipped) <= 2
    assert all('its name cannot be given' in reason for _, reason in report.skipped)
    assert 'good.png' in [image.source for image in Manifest.load(job.out).images]


# --- name, role, counter -------------------------------------------------------------------------


@pytest.fixture(scope='module')
def named(plain, key, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('named') / 'out'
    seal_dataset(make_job(plain, out, key, name='cells', role='train', counter=3))
    return out


@pytest.mark.parametrize(('asked', 'message'), [
    (dict(name='cells', role='train', at_least=3), None),
    (dict(name='cells'), None), (dict(), None), (dict(at_least=1), None),
    (dict(name='cars'), "name 'cells' and 'cars' is expected"),
    (dict(name='cells', role='val'), "role 'train' and 'val' is expected"),
    (dict(at_least=4), 'counter 3 and at least 4 is expected: it is an older copy'),
])
def test_name_role_and_counter(named, key, asked, message):
    manifest = Manifest.load(named)
    manifest.check_key(key)
    if message is None:
        manifest.check_identity(**asked)
    else:
        with pytest.raises(ManifestError, match=message):
            manifest.check_identity(**asked)


@pytest.mark.parametrize(('field', 'value'), [('name', 'cars'), ('role', 'val'), ('counter', 9)])
def test_they_are_signed(named, key, tmp_path, field, value):
    _renew_digest(tmp_path, json.loads((named / MANIFEST).read_text()) | {field: value})
    manifest = Manifest.load(tmp_path)
    manifest.check_identity(**{'at_least' if field == 'counter' else field: value})
    with pytest.raises(ManifestError, match='not what the holder of the key has signed'):
        manifest.check_key(key)


def test_the_counter_rises_with_every_change_and_only_then(copied, key, tmp_path):
    job = make_job(copied, tmp_path / 'out', key)
    counters = []
    for change in (False, False, True, False, True):
        if change:
            path = copied / 'images/000000000001.png'
            cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
        seal_dataset(job, resume=True)
        counters.append(Manifest.load(job.out).counter)
    assert counters == [1, 1, 2, 2, 3]
