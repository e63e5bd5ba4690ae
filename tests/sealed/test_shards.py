"""Shards and workers: the same bytes, however they share the work."""
from __future__ import annotations

import pytest

from mmppvit.encryption import Scheme
from mmppvit.sealed import check_sealed, resume, seal_dataset, writer
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


@pytest.fixture(params=[('folder', True), ('folder', False), ('wds', True), ('wds', False)],
                ids=lambda param: f'{param[0]}-{"key" if param[1] else "keyless"}')
def parts(request, plain, key, tmp_path):
    """Jobs of two parts of which the first is through."""
    container, with_key = request.param
    first, second = (make_job(plain, tmp_path / 'out', key if with_key else None, name='set',
                              container=container, shard=(i, 2)) for i in range(2))
    assert not seal_dataset(first).complete
    return first, second


@pytest.fixture(scope='module')
def expected(plain, key, tmp_path_factory):
    """What one part makes of all, by container and key."""
    made = {}

    def of(job):
        kind = job.container, job.key is not None
        if kind not in made:
            out = tmp_path_factory.mktemp('once') / 'out'
            seal_dataset(make_job(plain, out, job.key, name='set', container=job.container))
            made[kind] = content_of(out)
        return made[kind]
    return of


def _once_first(step, other):
    """``step``, before whose first call ``other`` is called."""
    before = [other]

    def call(*args, **kwargs):
        if before:
            before.pop()()
        return step(*args, **kwargs)
    return call


@pytest.mark.parametrize('moment', [(resume, '_check_folder'), (writer, 'make_order')],
                         ids=['planning', 'planned'])
def test_a_part_that_is_resumed_while_the_other_ends(parts, expected, monkeypatch, moment):
    first, second = parts
    ended = []
    monkeypatch.setattr(*moment, _once_first(
        getattr(*moment), lambda: ended.append(seal_dataset(second).complete)))
    report = seal_dataset(first, resume=True)
    assert ended == [True]
    assert (report.complete, report.kept, report.written, report.skipped) == (True, 4, 0, [])
    assert content_of(first.out) == expected(first)
    assert check_sealed(first.out, first.key).problems == []


def test_a_part_that_ends_while_the_other_is_resumed(parts, expected):
    """It leaves the end to the one that is at work."""
    first, second = parts
    ended = []

    def at_second(done, total):
        if done == 2 and not ended:
            ended.append(seal_dataset(second).complete)

    # All of it is sealed again.
    next((first.out / '.sealing').glob('*.jsonl')).write_text('')
    assert seal_dataset(first, resume=True, progress=at_second).complete
    assert ended == [False]
    assert content_of(first.out) == expected(first)


def test_a_part_waits_while_the_end_is_written(parts, expected, monkeypatch):
    first, second = parts
    child = None
    planned = FORK.Event()

    def resumed():
        order = writer.make_order
        writer.make_order = lambda *args: (planned.set(), order(*args))[1]
        seal_and_exit(first, resume=True)

    def begin():
        nonlocal child
        child = FORK.Process(target=resumed)
        child.start()
        assert planned.wait(60)

    monkeypatch.setattr(writer, '_write_end', _once_first(writer._write_end, begin))
    assert seal_dataset(second).complete
    child.join()
    assert child.exitcode == 0
    assert content_of(first.out) == expected(first)


@pytest.mark.parametrize('change', [False, True])
def test_a_part_of_a_finished_set_without_a_key_is_compared(plain, tmp_path, change):
    first, second = (make_job(plain, tmp_path / 'out', shard=(i, 2)) for i in range(2))
    for job in (first, second):
        seal_dataset(job)
    file = sorted((first.out / 'images').glob('*.png'))[0]
    if change:
        file.write_bytes(file.read_bytes()[::-1])
    before = content_of(first.out)
    if change:
        with pytest.raises(ValueError, match='1 images of shard 0/2 have changed'):
            seal_dataset(first, resume=True)
    else:
        assert seal_dataset(first, resume=True).kept == 4
    assert seal_dataset(second, resume=True).kept == 4
    assert content_of(first.out) == before
