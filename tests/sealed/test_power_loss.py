"""Power is lost at any step: nothing that was finished is gone, and the rest goes on.

``MMPPVIT_POWER_LOSSES=1000 pytest tests/sealed/test_power_loss.py`` tries as many moments.
"""
from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import cv2
import pytest

from mmppvit.encryption import Key, KeyFileError, keys
from mmppvit.sealed import MANIFEST, Manifest, SealJob, check_sealed, seal_dataset
from mmppvit.utils import atomic
from tests.sealed.jobs import content_of, make_job, two_scales
from tests.sealed.power import Disk

LOSSES = int(os.environ.get('MMPPVIT_POWER_LOSSES', 40))
EVERY = 3  # in this many steps the power is lost once


def _losses(job: SealJob, folder: Path, rng: random.Random, most: int, **options) -> list[Path]:
    """Seal, and write what the disk may hold at random steps of it."""
    states = []

    def at_step(disk: Disk) -> None:
        if len(states) < most and rng.random() < 1 / EVERY:
            states.append(folder / str(len(states)))
            disk.after_loss(states[-1], rng)

    job.out.mkdir(parents=True, exist_ok=True)
    Disk(job.out, at_step).run(lambda: seal_dataset(job, **options))
    return states


def _check(job: SealJob, expected: dict[str, str]) -> None:
    """A manifest that is there tells the truth, and resuming gives what was to come out."""
    if (job.out / MANIFEST).exists() and not (job.out / '.sealing').exists():
        assert check_sealed(job.out, job.key).problems == []
    seal_dataset(job, resume=True)
    assert content_of(job.out) == expected


@pytest.mark.parametrize('with_key', [True, False])
def test_nothing_is_lost_while_sealing(plain, key, whole, tmp_path, with_key):
    rng, done, run = random.Random(with_key), 0, 0
    expected = None
    while done < LOSSES // 2:
        make = two_scales if with_key else make_job
        options = (key, ) if with_key else ()
        job = make(plain, tmp_path / f'{run}/out', *options)
        for state in _losses(job, tmp_path / f'{run}/lost', rng, LOSSES // 2 - done):
            expected = expected or content_of(whole if with_key else job.out)
            _check(make(plain, state, *options), expected)
            shutil.rmtree(state)
            done += 1
        expected = expected or content_of(job.out)
        run += 1


def test_nothing_is_lost_while_a_finished_set_is_mended(plain, key, tmp_path):
    rng, done, run = random.Random(2), 0, 0
    copied = shutil.copytree(plain, tmp_path / 'plain')
    first = make_job(copied, tmp_path / 'first', key)
    seal_dataset(first)
    for name in ('000000000001.png', '000000000002.png'):
        path = copied / 'images' / name
        cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    while done < max(LOSSES // 4, 5):
        out = shutil.copytree(first.out, tmp_path / f'{run}/out')
        job = make_job(copied, out, key)
        states = _losses(job, tmp_path / f'{run}/lost', rng, max(LOSSES // 4, 5) - done,
                         resume=True)
        for state in states:
            _check(make_job(copied, state, key), content_of(out))
            shutil.rmtree(state)
            done += 1
        run += 1
    assert Manifest.load(out).counter == 2


def test_what_is_finished_is_on_the_disk(plain, key, tmp_path):
    """After the last step, whatever is lost."""
    job = two_scales(plain, tmp_path / 'out', key)
    job.out.mkdir()
    disk = Disk(job.out, lambda _: None)
    disk.run(lambda: seal_dataset(job))
    for seed in range(10):
        state = tmp_path / str(seed)
        disk.after_loss(state, random.Random(seed))
        shutil.rmtree(state / '.sealing', ignore_errors=True)
        assert content_of(state) == content_of(job.out)


@pytest.mark.parametrize('forgotten', ['_sync', 'sync_folder'])
def test_the_simulation_finds_a_flush_that_is_forgotten(plain, key, tmp_path, monkeypatch,
                                                        forgotten):
    """Else it would show nothing."""
    monkeypatch.setattr(atomic, forgotten, lambda path: None)
    job = two_scales(plain, tmp_path / 'out', key)
    job.out.mkdir()
    disk = Disk(job.out, lambda _: None)
    disk.run(lambda: seal_dataset(job))
    differ = 0
    for seed in range(5):
        disk.after_loss(tmp_path / str(seed), random.Random(seed))
        shutil.rmtree(tmp_path / str(seed) / '.sealing', ignore_errors=True)
        differ += content_of(tmp_path / str(seed)) != content_of(job.out)
    assert differ


def test_a_key_is_on_the_disk_before_it_is_used(tmp_path):
    folder = tmp_path / 'keys'
    folder.mkdir()
    disk = Disk(folder, lambda _: None)
    disk.run(lambda: Key.create(folder / 'owner.key'))
    for seed in range(5):
        disk.after_loss(tmp_path / str(seed), random.Random(seed))
        assert content_of(tmp_path / str(seed)) == content_of(folder)


def test_a_full_disk_leaves_no_empty_key(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(keys.os, 'fsync', full)
    with pytest.raises(KeyFileError, match='No space left'):
        Key.create(tmp_path / 'owner.key')
    assert list(tmp_path.iterdir()) == []
