"""Sealed by Dask or Ray as by the local workers: the same bytes, and no key on the way."""
from __future__ import annotations

import os
import pickle
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmppvit.cli.app import main
from mmppvit.encryption import Key, KeyFileError
from mmppvit.encryption.key_sources import KeySource
from mmppvit.sealed import engines, seal_dataset
from mmppvit.sealed.engines import Order, make_order
from mmppvit.utils.user_errors import UserError
from tests.sealed.jobs import content_of, make_job, two_scales


@pytest.fixture(params=['dask', 'ray'])
def engine(request) -> str:
    pytest.importorskip({'dask': 'distributed'}.get(request.param, request.param),
                        reason=f'pip install "mmppvit[{request.param}]"')
    return request.param


def _killing(mark: Path) -> Callable:
    """Seals, and kills its worker once in the middle of a batch."""
    seal_batch = engines.seal_batch

    def seal_or_die(order: Order, tasks: list) -> list:
        results = seal_batch(order, tasks[:2])
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return results + seal_batch(order, tasks[2:])
        return os.kill(os.getpid(), signal.SIGKILL)

    return seal_or_die


def test_the_same_bytes_though_a_worker_is_killed(plain, key, whole, tmp_path, engine,
                                                  monkeypatch):
    monkeypatch.setattr(engines, 'seal_batch', _killing(tmp_path / 'killed'))
    monkeypatch.setattr(engines, '_BATCH', 3)
    report = seal_dataset(two_scales(plain, tmp_path / 'out', key), engine=engine, num_workers=1)
    assert (tmp_path / 'killed').exists()
    assert (report.written, report.skipped, report.complete) == (16, [], True)
    assert content_of(tmp_path / 'out') == content_of(whole)


def test_commands_in_shards(plain, key, tmp_path, engine, capfd):
    """Also with a key that comes from a command."""
    args = ['seal', '--img-dir', str(plain / 'images'), '--ann', str(plain / 'ann.json'),
            '--scheme', 'mix+shuffle', '--name', 'set']
    source = ['--key-command', f'cat {key._path}']
    for shard in ('0/2', '1/2'):
        assert main([*args, *source, '--out', str(tmp_path / 'out'), '--shard', shard,
                     '--engine', engine if shard == '0/2' else 'local']) == 0
    assert main([*args, '--key-file', str(key._path), '--out', str(tmp_path / 'one')]) == 0
    assert content_of(tmp_path / 'out') == content_of(tmp_path / 'one')
    out, err = capfd.readouterr()
    assert key._secret.hex() not in out + err


def test_an_order_has_no_key(plain, key, tmp_path):
    job = two_scales(plain, tmp_path / 'out', key)
    order = make_order(job, False, (job.out, job.out), None)
    text = pickle.dumps(order)
    assert key._secret not in text
    assert key._secret.hex().encode() not in text
    again = pickle.loads(text)
    assert (again.job, again.places) == (replace(order.job, key=again.job.key), (job.out, ))
    assert again.job.key.fingerprint == key.fingerprint
    with pytest.raises(UserError, match='workers of an engine read the key themselves'):
        pickle.dumps(make_order(replace(job, key=Key(bytes(32))), False, (job.out, ), None))
    with pytest.raises(UserError, match='--key-file or --key-command'):
        pickle.dumps(make_order(replace(job, key=Key(bytes(32))), False, (job.out, ),
                                KeySource(fd=7)))
    other = Key.create(tmp_path / 'other.key')
    text = pickle.dumps(make_order(job, False, (job.out, ), KeySource(other.path)))
    with pytest.raises(KeyFileError, match='give its machine the same key'):
        pickle.loads(text)


def test_a_slurm_array(tmp_path):
    """By a stand-in for the command, which writes its arguments."""
    script = Path(__file__).parents[2] / 'tools/slurm_seal.sh'
    stub = tmp_path / 'mmppvit'
    stub.write_text('#!/bin/sh\necho "$@"\n')
    stub.chmod(0o755)
    environment = dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', SLURM_ARRAY_TASK_ID='3',
                       SLURM_ARRAY_TASK_COUNT='64', SLURM_CPUS_PER_TASK='8')
    done = subprocess.run([script, '--out', 'a b'], env=environment, capture_output=True, text=True)
    assert done.stdout == 'seal --out a b --resume --shard 3/64 --num-workers 8\n'
    done = subprocess.run([script], env=environment | dict(SLURM_ARRAY_TASK_MIN='3'),
                          capture_output=True, text=True)
    assert done.returncode
    assert 'MMPPVIT_SHARDS' in done.stderr


def test_what_is_not_installed_or_no_cluster(plain, tmp_path, monkeypatch):
    monkeypatch.setattr('mmppvit.utils.user_errors.find_spec', lambda name: None)
    for name in ('dask', 'ray'):
        with pytest.raises(UserError, match=rf'mmppvit\[{name}\]'):
            seal_dataset(make_job(plain, tmp_path / 'out'), engine=name)
    with pytest.raises(UserError, match='give --engine dask or ray'):
        seal_dataset(make_job(plain, tmp_path / 'out'), address='tcp://127.0.0.1:1')
    assert not (tmp_path / 'out').exists()


def test_errors_of_workers_are_told(plain, tmp_path, engine, monkeypatch):
    """A full disk is not the images' fault, and no retry helps."""
    monkeypatch.setattr(engines, 'seal_batch', _full)
    monkeypatch.setattr(engines, '_RETRIES', 0)
    with pytest.raises(OSError, match='No space left'):
        seal_dataset(make_job(plain, tmp_path / 'out'), engine=engine, num_workers=1)
    assert not (tmp_path / 'out/manifest.json').exists()


def test_a_cluster_that_is_not_there(plain, tmp_path, monkeypatch, capsys):
    pytest.importorskip('distributed', reason='pip install "mmppvit[dask]"')
    import dask
    args = ['seal', '--img-dir', str(plain / 'images'), '--scheme', 'mix', '--engine', 'dask']
    with dask.config.set({'distributed.comm.timeouts.connect': '0.2s'}):
        for i, address in enumerate(('tcp://127.0.0.1:1', 'what://nowhere:1')):
            assert main([*args, '--out', str(tmp_path / f'{i}'), '--engine-address', address]) == 2
            assert f'no cluster of Dask answers at {address}' in capsys.readouterr().err


def test_a_worker_that_cannot_read_the_key(plain, key, tmp_path, capfd):
    pytest.importorskip('distributed', reason='pip install "mmppvit[dask]"')
    once = tmp_path / 'once.sh'  # for the command itself
    once.write_text(f'mkdir {tmp_path}/read && cat {key._path}\n')
    assert main(['seal', '--img-dir', str(plain / 'images'), '--scheme', 'mix+shuffle', '--out',
                 str(tmp_path / 'out'), '--key-command', f'sh {once}', '--engine', 'dask']) == 2
    assert 'cannot read the key: their log says why' in capfd.readouterr().err


def test_no_key_is_looked_for_where_none_is_needed(plain, tmp_path, monkeypatch):
    monkeypatch.setenv('MMPPVIT_KEY', '/nowhere')
    monkeypatch.setenv('MMPPVIT_KEY_COMMAND', 'false')
    assert main(['seal', '--img-dir', str(plain / 'images'), '--scheme', 'mix', '--out',
                 str(tmp_path / 'out')]) == 0


def _full(order: Order, tasks: list) -> list:
    raise OSError(28, 'No space left on device')


def test_workers_are_forked_without_threads_of_opencv(plain, tmp_path):
    """Else they wait for these where the program has used OpenCV before."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        cv2.resize(np.zeros((30, 40, 3), np.uint8), (1600, 1200))
        seen = set()
        seal_dataset(make_job(plain, tmp_path / 'out'), num_workers=1,
                     progress=lambda *_: seen.add(cv2.getNumThreads()))
        assert 1 in seen
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)
