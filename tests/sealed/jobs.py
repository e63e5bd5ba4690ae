"""Jobs on the synthetic images of ``conftest.py``, and processes that do or leave them."""
from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from pathlib import Path

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import SealJob, seal_dataset

FORK = multiprocessing.get_context('fork')


def make_job(plain: Path, out: Path, key: Key | None = None, scheme: Scheme | None = None,
             **options) -> SealJob:
    """Of ``plain/images`` with ``plain/ann.json``; with a key, it shuffles as well."""
    options = {'ann_file': plain / 'ann.json', **options}
    scheme = scheme or Scheme('mix+shuffle' if key else 'mix')
    return SealJob(plain / 'images', out, scheme, key=key, **options)


def two_scales(plain: Path, out: Path, key: Key, **options) -> SealJob:
    """The job of the fixture ``whole``."""
    return make_job(plain, out, key, scales=((96, 64), (64, 48)), **options)


def content_of(root: Path) -> dict[str, str]:
    """Digest of every file below, and '' for every folder."""
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file() else '' for path in sorted(root.rglob('*'))}


def seal_and_exit(job: SealJob, **options) -> None:
    """Seal in a forked process; its exit status is 0, 1 for an error, or it was killed."""
    try:
        seal_dataset(job, **options)
    except BaseException:
        os._exit(1)
    os._exit(0)


def die(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
