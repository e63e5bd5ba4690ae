"""Going on with a job: what is there is kept if it is whole and of the same job."""
from __future__ import annotations

import errno
import json
import shutil
from dataclasses import replace

import pytest

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import Manifest, seal_dataset, seal_images
from mmppvit.sealed.journal import Journal
from tests.sealed.jobs import FORK, content_of, die, make_job, seal_and_exit, two_scales


def test_what_is_there_is_checked(plain, key, whole, tmp_path):
    shutil.copytree(whole, tmp_path / 'out')
    manifest = Manifest.load(whole)
    (tmp_path / 'out' / manifest.images[0].file).unlink()
    (tmp_path / 'out' / manifest.images[5].file).write_bytes(b'damaged')
    job = two_scales(plain, tmp_path / 'out', key)
    report = seal_dataset(job, resume=True)
    assert (report.written, report.kept) == (2, 14)
    assert content_of(job.out) == content_of(whole)


@pytest.mark.parametrize('finished', [True, False])
def test_another_job_is_not_resumed(plain, key, whole, tmp_path, finished, monkeypatch):
    job = two_scales(plain, tmp_path / 'out', key)
    if finished:
        shutil.copytree(whole, job.out)
    else:
        child = FORK.Process(target=seal_and_exit, args=(job, ), kwargs=dict(
            progress=lambda done, _: die() if done == 3 else None))
        child.start()
        child.join()
    before = content_of(job.out)
    other = json.loads((plain / 'ann.json').read_text())
    other['annotations'][0]['bbox'][0] += 1
    (tmp_path / 'other.json').write_text(json.dumps(other))
    for other in (replace(job, scales=((96, 64), )), replace(job, image_format='webp'),
                  replace(job, key=Key(bytes(32))), replace(job, ann_file=tmp_path / 'other.json'),
                  replace(job, ann_file=None), replace(job, name='other'),
                  replace(job, role='val'), replace(job, pseudonyms=True),
                  replace(job, scheme=Scheme('mix+shuffle', erode=1))):
        with pytest.raises(ValueError, match='cannot be resumed with these'):
            seal_dataset(other, resume=True)
    with pytest.raises(ValueError, match='--resume goes on with it'):
        seal_dataset(job)
    if not finished:
        with pytest.raises(ValueError, match='another number of shards'):
            seal_dataset(replace(job, shard=(0, 2)), resume=True)
    assert content_of(job.out) | {'.sealing/shard-0-of-1.lock': ''} == \
        before | {'.sealing/shard-0-of-1.lock': ''}


def test_folders_that_hold_something_else(plain, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/thesis.txt').write_text('x')
    for resume in (False, True):
        with pytest.raises(ValueError, match='not a sealed data set'):
            seal_dataset(make_job(plain, tmp_path / 'out'), resume=resume)
    assert list(content_of(tmp_path / 'out')) == ['thesis.txt']


def test_a_journal_lost_in_a_power_cut(plain, tmp_path):
    """An empty journal says nothing is done; the files are sealed again."""
    whole = make_job(plain, tmp_path / 'whole')
    seal_dataset(whole)
    cut = replace(whole, out=tmp_path / 'cut')
    with Journal(cut.out, cut.shard, '') as journal:
        journal.path.touch()
    assert seal_dataset(cut, resume=True).complete
    assert (cut.out / 'manifest.json').read_bytes() == (whole.out / 'manifest.json').read_bytes()


@pytest.mark.parametrize('workers', [0, 1])
def test_a_full_disk_is_not_the_images_fault(plain, tmp_path, monkeypatch, workers):
    write, count = seal_images.write_atomic, 0

    def full(path, content):
        nonlocal count
        count += path.suffix == '.png'
        if count > 3:
            raise OSError(errno.ENOSPC, 'No space left on device', str(path))
        write(path, content)

    monkeypatch.setattr(seal_images, 'write_atomic', full)
    with pytest.raises(OSError, match='No space left'):
        seal_dataset(make_job(plain, tmp_path / 'out'), num_workers=workers)
    monkeypatch.undo()
    assert not (tmp_path / 'out/manifest.json').exists()
    report = seal_dataset(make_job(plain, tmp_path / 'out'), resume=True)
    assert (report.kept, report.written, report.skipped) == (3, 5, [])
