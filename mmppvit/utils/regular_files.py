"""Reading files from folders that may hold anything: pipes and devices are refused, not read."""
from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ['read_regular']


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


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0))
