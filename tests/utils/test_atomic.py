"""Files that appear in one piece."""
from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import suppress

import pytest

import mmppvit.utils.atomic
from mmppvit.utils.atomic import replace_file, write_atomic


@pytest.mark.parametrize('sync', [False, True])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, sync):
    path = tmp_path / 'new' / 'file'
    write_atomic(path, b'old', sync)

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    for target in ('os.replace', 'pathlib.Path.write_bytes', *['os.fsync'] * sync):
        with monkeypatch.context() as patch:
            patch.setattr(target, full)
            with pytest.raises(OSError, match='No space'):
                write_atomic(path, b'new', sync)
        assert path.read_bytes() == b'old'
        assert [item.name for item in path.parent.iterdir()] == ['file']
    write_atomic(path, b'new', sync)
    assert path.read_bytes() == b'new'
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def test_only_who_asks_waits_for_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr('os.fsync', synced.append)
    write_atomic(tmp_path / 'a', b'a')
    assert not synced
    write_atomic(str(tmp_path / 'b'), b'b', sync=True)
    assert len(synced) == 2  # the file, and then its name


def test_a_block_that_fails_leaves_nothing(tmp_path):
    with suppress(ZeroDivisionError), replace_file(tmp_path / 'a') as temporary:
        temporary.write_bytes(b'half')
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_it_imports_neither_torch_nor_mmdet():
    code = ('import runpy, sys; runpy.run_path(sys.argv[1]); '
            'assert not {"torch", "mmdet", "mmengine"} & set(sys.modules)')
    subprocess.run([sys.executable, '-c', code, mmppvit.utils.atomic.__file__], check=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
