"""Files that appear whole or not at all: written beside their place, then moved there."""
from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from mmppvit.utils.remote_files import RemotePath

__all__ = ['replace_file', 'sync_files', 'sync_folder', 'write_atomic']

_AT_ONCE = 1024  # files to flush; fewer are flushed one by one
_SYNC_THREADS = 32


@contextmanager
def replace_file(path: str | Path | RemotePath, sync: bool = False) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place if the block ends well.

    Args:
        path (str | Path | RemotePath): The file; its folder is made. A file of a store is put
            there from a temporary folder of this machine.
        sync (bool): Flush the content to disk before the file gets its name, and the name
            afterwards: when this returns, a machine that goes down keeps the new file, and at
            any moment before it keeps the old or the new one. It costs two waits per file.
    """
    if isinstance(path, RemotePath):
        with tempfile.TemporaryDirectory(prefix='mmppvit-') as folder:
            yield Path(folder) / 'file'
            path.upload(Path(folder) / 'file')
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix='.tmp-', dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o666 & ~_UMASK)  # mkstemp's files are private
        if sync:
            _sync(name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def write_atomic(path: str | Path | RemotePath, content: bytes, sync: bool = False) -> None:
    """Write ``path``, which then has all of ``content`` or is as it was; as `replace_file`."""
    if isinstance(path, RemotePath):
        path.write(content)
        return
    with replace_file(path, sync) as temporary:
        temporary.write_bytes(content)


def sync_files(root: Path | RemotePath, files: Iterable[str]) -> None:
    """Flush ``files`` below ``root`` to disk, then the folders on their way, ``root`` last.

    Args:
        root (Path | RemotePath): A folder; a store keeps what it has taken.
        files (Iterable[str]): Relative to it.

    Raises:
        OSError: One is missing, or the disk reports that it was not written.
    """
    if isinstance(root, RemotePath):
        return
    folders, files = {root}, iter(files)
    while part := list(islice(files, _AT_ONCE)):
        paths = [root / file for file in part]
        _sync_all(paths)
        folders.update(parent for path in paths for parent in path.parents
                       if parent.is_relative_to(root))
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        sync_folder(folder)
    sync_folder(root.resolve().parent)


def sync_folder(folder: str | Path) -> None:
    """Flush the names in ``folder`` to disk: without it a file's content may be safe, and not its
    name. Nothing happens where the system cannot (Windows, some network shares).
    """
    try:
        handle = os.open(folder, os.O_RDONLY | getattr(os, 'O_DIRECTORY', 0))
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as err:
        if err.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(handle)


def _sync_all(paths: Sequence[Path]) -> None:
    if len(paths) < _AT_ONCE:
        for path in paths:
            _sync(path)
        return
    # A file system writes its journal once for all that wait: 2,000 files one by one took 9 s,
    # by 32 threads 0.3 s.
    with ThreadPoolExecutor(_SYNC_THREADS) as threads:
        for _ in threads.map(_sync, paths):
            pass


def _sync(path: str | Path) -> None:
    handle = os.open(path, os.O_RDONLY if os.name == 'posix' else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """The umask, which can only be read by setting it: once, before there are threads."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EROFS, errno.EACCES, errno.EBADF)
