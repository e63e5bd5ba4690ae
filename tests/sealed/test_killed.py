"""Killed at any moment, and the same bytes in the end."""
from __future__ import annotations

import random
import signal
import time
from pkgutil import resolve_name

import pytest

from mmppvit.sealed import SealJob, seal_dataset, seal_images, verify_sealed
from tests.sealed.jobs import FORK, content_of, die, make_job, seal_and_exit, two_scales

STEPS = ('os.replace', 'os.chmod', 'pathlib.Path.write_bytes', 'tempfile.mkstemp', 'os.unlink',
         'mmppvit.sealed.journal.Journal.add', 'mmppvit.sealed.journal.Journal.finish',
         'shutil.rmtree')


def _killed(job: SealJob, seed: int, resume: bool) -> None:
    """Seal, and die before, after or in the middle of one of its steps."""
    rng = random.Random(seed)
    left, patch = rng.randrange(1, 84), pytest.MonkeyPatch()  # an undisturbed run takes 86
    after = rng.random() < .5

    def mortal(name, step):
        def call(*args, **kwargs):
            nonlocal left
            left -= 1
            if left == 0 and name.endswith('write_bytes'):
                with open(args[0], 'wb') as file:
                    file.write(args[1][:len(args[1]) // 2])
                die()
            if left == 0 and name.endswith('add') and after:
                args[0]._file.write('{"i": 3, "fil')  # a line cut short
                args[0]._file.flush()
                die()
            if left == 0 and not after:
                die()
            result = step(*args, **kwargs)
            if left == 0:
                die()
            return result
        return call

    for name in STEPS:
        patch.setattr(name, mortal(name, resolve_name(name)))
    seal_and_exit(job, resume=resume)


@pytest.mark.parametrize('seed', range(20))
def test_killed_at_any_moment_it_goes_on(plain, key, whole, tmp_path, seed):
    job = two_scales(plain, tmp_path / 'out', key)
    for attempt in range(2):  # the second one dies while it resumes
        child = FORK.Process(target=_killed, args=(job, 2 * seed + attempt, attempt > 0))
        child.start()
        child.join()
        assert child.exitcode in ((-signal.SIGKILL, 0) if attempt else (-signal.SIGKILL, ))
    report = seal_dataset(job, resume=True)
    assert report.complete
    assert report.kept + report.written == 16
    assert content_of(job.out) == content_of(whole)
    assert not list(verify_sealed(job.out, key))


def test_killed_with_workers_it_leaves_none_behind(plain, key, whole, tmp_path):
    """Orphans would hold the lock, and wait for work for ever."""
    job = two_scales(plain, tmp_path / 'out', key)

    def at_third(done: int, _) -> None:
        if done == 3:
            die()

    child = FORK.Process(target=seal_and_exit, args=(job, ), kwargs=dict(num_workers=2,
                                                                         progress=at_third))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    for _ in range(100):
        try:
            report = seal_dataset(job, resume=True)
            break
        except ValueError:  # the workers have not all noticed yet
            time.sleep(.05)
    assert report.complete
    assert report.kept >= 6
    assert content_of(job.out) == content_of(whole)


def test_a_killed_worker_is_said(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(seal_images, 'seal_image', die)
    with pytest.raises(RuntimeError, match=r'killed.*--resume'):
        seal_dataset(make_job(plain, tmp_path / 'out'), num_workers=1)
    monkeypatch.undo()
    assert seal_dataset(make_job(plain, tmp_path / 'out'), resume=True).complete
