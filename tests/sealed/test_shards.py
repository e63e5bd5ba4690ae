"""Shards and workers: the same bytes, however they share the work."""
from __future__ import annotations

import pytest

from mmppvit.encryption import Scheme
from mmppvit.sealed import seal_dataset
from mmppvit.sealed.journal import Journal
from tests.sealed.jobs import FORK, content_of, make_job, seal_and_exit, two_scales


@pytest.mark.parametrize('order', [(0, 1), (1, 0)])
@pytest.mark.parametrize('workers', [0, 2])
def test_shards_and_workers_make_the_same_bytes(plain, key, whole, tmp_path, order, workers):
    for i, shard in enumerate(order):
        done = []
        report = seal_dataset(two_scales(plain, tmp_path / 'out', key, shard=(shard, 2)),
                              num_workers=workers, progress=lambda *a, done=done: done.append(a))
        assert (report.written, report.complete) == (8, i == 1)
        assert done == [(k, 4) for k in range(5)]
    assert content_of(tmp_path / 'out') == content_of(whole)


@pytest.mark.parametrize('num', [2, 4])
def test_shards_at_the_same_time(plain, key, whole, tmp_path, num):
    children = [FORK.Process(target=seal_and_exit, args=(two_scales(
        plain, tmp_path / 'out', key, shard=(i, num)), )) for i in range(num)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * num
    assert content_of(tmp_path / 'out') == content_of(whole)


def test_one_process_a_shard(plain, tmp_path):
    job = make_job(plain, tmp_path / 'out')
    with Journal(job.out, job.shard, ''), \
            pytest.raises(ValueError, match='another process is sealing'):
        seal_dataset(job, resume=True)
    assert seal_dataset(job, resume=True).complete


def test_shards_with_other_options_are_refused_before_any_work(plain, tmp_path):
    seal_dataset(make_job(plain, tmp_path / 'out', shard=(0, 2)))
    before = content_of(tmp_path / 'out')
    with pytest.raises(ValueError, match='other options'):
        seal_dataset(make_job(plain, tmp_path / 'out', scheme=Scheme('mix', grid=4), shard=(1, 2)))
    assert content_of(tmp_path / 'out') == before
