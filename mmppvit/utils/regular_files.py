"""Reading files from folders that may hold anything: pipes and devices are refused, not read."""
from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ['read_parts', 'read_regular']


def read_regular(path: str | Path, limit: int | None = None) -> bytes:
    """All of a regular file, which is opened once and never waited for.

    Args:
        path (str | Path): The file; links are followed.
        limit (int, optional): Most bytes to read.

    Raises:
        OSError: It is missing, no regular file (a pipe would be waited for, a device has no end),
            or longer than ``limit``.
    """
    with open(path, 'rb', opener=_open_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, 'it is not a regular file', str(path))
        if limit is not None and status.st_size > limit:
            raise OSError(0, f'it is longer than {limit} bytes', str(path))
        # Not the limit itself, as that much memory would be taken at once. What it has grown by
        # since is left out, and found by who checks digests.
        content = file.read() if limit is None else file.read(status.st_size)
    return content


def read_parts(path: str | Path, parts: list[tuple[int, int]]) -> list[bytes]:
    """Pieces of a regular file, which is opened once.

    Args:
        path (str | Path): The file; links are followed.
        parts (list): (start, length) in bytes; where the file ends, a piece is shorter.

    Raises:
        OSError: It is missing or no regular file.
    """
    with open(path, 'rb', buffering=0, opener=_open_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, 'it is not a regular file', str(path))
        found = []
        for start, length in parts:
            start = min(start, status.st_size)
            file.seek(start)
            # Not more than there is: that much memory would be taken at once.
            found.append(file.read(min(length, status.st_size - start)))
    return found


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0))
