"""Files that appear whole or not at all: written beside their place, then moved there."""
from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ['replace_file', 'write_atomic']


@contextmanager
def replace_file(path: str | Path, sync: bool = False) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place if the block ends well.

    Args:
        path (str | Path): The file; its folder is made.
        sync (bool): Flush the content to disk first, so that a machine that goes down leaves no
            torn file under the final name either. It costs a wait per file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix='.tmp-', dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        if sync:
            with open(name, 'r+b') as file:
                os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_UMASK)  # mkstemp's files are private
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_atomic(path: str | Path, content: bytes, sync: bool = False) -> None:
    """Write ``path``, which then has all of ``content`` or is as it was; as `replace_file`."""
    with replace_file(path, sync) as temporary:
        temporary.write_bytes(content)


def _umask() -> int:
    """The umask, which can only be read by setting it: once, before there are threads."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()
