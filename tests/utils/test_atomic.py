"""Files that appear in one piece."""
from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import suppress

import pytest

import mmppvit.utils.atomic
from mmppvit.utils.atomic import replace_file, sync_files, write_atomic


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


@pytest.mark.parametrize('count', [3, 2500])
def test_every_file_and_folder_is_flushed_and_a_missing_one_is_told(tmp_path, monkeypatch, count):
    files = [f'{i % 3}/{i}' for i in range(count)]
    for folder in '012':
        (tmp_path / folder).mkdir()
    for file in files:
        (tmp_path / file).touch()
    flushed = []
    monkeypatch.setattr(os, 'fsync', lambda handle: flushed.append(
        os.readlink(f'/proc/self/fd/{handle}')))
    sync_files(tmp_path, iter(files))
    assert sorted(flushed[:count]) == sorted(str(tmp_path / file) for file in files)
    assert set(flushed[count:]) == {*(str(tmp_path / folder) for folder in '012'), str(tmp_path),
                                    str(tmp_path.parent)}
    (tmp_path / files[-1]).unlink()
    with pytest.raises(FileNotFoundError, match=files[-1]):
        sync_files(tmp_path, files)
