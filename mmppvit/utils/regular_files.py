"""Reading files from folders that may hold anything: pipes and devices are refused, not read.

Files of a store, which has neither, are read through :mod:`mmppvit.utils.remote_files`.
"""
from __future__ import annotations

import os
import stat
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from mmppvit.utils.remote_files import RemotePath

__all__ = ['open_regular', 'read_parts', 'read_regular']


def read_regular(path: str | Path | RemotePath, limit: int | None = None) -> bytes:
    """All of a regular file, which is opened once and never waited for.

    Args:
        path (str | Path | RemotePath): The file; links are followed.
        limit (int, optional): Most bytes to read.

    Raises:
        OSError: It is missing, no regular file (a pipe would be waited for, a device has no end),
            or longer than ``limit``.
    """
    if isinstance(path, RemotePath):
        return path.read(limit)
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        if limit is not None and status.st_size > limit:
            raise OSError(0, f'it is longer than {limit} bytes', str(path))
        # Not the limit itself, as that much memory would be taken at once. What it has grown by
        # since is left out, and found by who checks digests.
        content = file.read() if limit is None else file.read(status.st_size)
    return content


def read_parts(path: str | Path | RemotePath, parts: list[tuple[int, int]]) -> list[bytes]:
    """Pieces of a regular file, which is opened once.

    Args:
        path (str | Path | RemotePath): The file; links are followed.
        parts (list): (start, length) in bytes; where the file ends, a piece is shorter.

    Raises:
        OSError: It is missing or no regular file.
    """
    if isinstance(path, RemotePath):
        return path.read_parts(parts)
    with open_regular(path, buffering=0) as file:
        status = os.fstat(file.fileno())
        found = []
        for start, length in parts:
            start = min(start, status.st_size)
            file.seek(start)
            # Not more than there is: that much memory would be taken at once.
            found.append(file.read(min(length, status.st_size - start)))
    return found


def open_regular(path: str | Path | RemotePath, buffering: int = -1
                 ) -> AbstractContextManager[BinaryIO]:
    """A regular file, open for reading; it is never waited for.

    Args:
        path (str | Path | RemotePath): The file; links are followed.
        buffering (int): As of :func:`open`.

    Raises:
        OSError: It is missing, or a pipe, device or folder.
    """
    if isinstance(path, RemotePath):
        return path.open()
    file = open(path, 'rb', buffering, opener=_open_at_once)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(0, 'it is not a regular file', str(path))
    return file


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0))
