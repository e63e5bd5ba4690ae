"""Object stores for MMEngine's ``backend_args``, through fsspec.

MMEngine 0.10 knows the local disk, HTTP, LMDB, memcached, and Petrel, which is not published. Its
``s3://`` belongs to Petrel; it is taken over where Petrel is not installed.
"""
from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import PurePosixPath

from mmengine.fileio import BaseStorageBackend, register_backend

from mmppvit.utils.remote_files import RemotePath

__all__ = ['FsspecBackend']

_PREFIXES = ('gs', 'gcs', 'az', 'abfs', 'memory')


class FsspecBackend(BaseStorageBackend):
    """Files of whatever fsspec can open: ``backend_args=dict(backend='fsspec')``.

    Args:
        **options: fsspec's storage options, such as ``endpoint_url`` and ``anon`` of s3fs. Configs
            end up in logs: leave secrets to the environment.
    """

    def __init__(self, **options) -> None:
        self._options = options

    def _path(self, filepath: str) -> RemotePath:
        return RemotePath(str(filepath), self._options)

    def get(self, filepath: str) -> bytes:
        """All of a file."""
        return self._path(filepath).read()

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        """All of a file, decoded."""
        return self.get(filepath).decode(encoding)

    def put(self, obj: bytes, filepath: str) -> None:
        """Write a file, which appears whole."""
        self._path(filepath).write(obj)

    def put_text(self, obj: str, filepath: str, encoding: str = 'utf-8') -> None:
        """As `put`, encoded."""
        self.put(obj.encode(encoding), filepath)

    def exists(self, filepath: str) -> bool:
        """Whether there is such a file or folder."""
        return self.isfile(filepath) or self.isdir(filepath)

    def isfile(self, filepath: str) -> bool:
        """Whether there is such a file."""
        try:
            self._path(filepath).size()
        except FileNotFoundError:
            return False
        return True

    def isdir(self, filepath: str) -> bool:
        """Whether files lie below."""
        return bool(self._path(filepath).listing())

    def join_path(self, filepath: str, *filepaths: str) -> str:
        """As :func:`os.path.join`."""
        return os.path.join(filepath, *filepaths)

    def list_dir_or_file(self, dir_path: str, list_dir: bool = True, list_file: bool = True,
                         suffix: str | tuple[str, ...] | None = None, recursive: bool = False
                         ) -> Iterator[str]:
        """Names of files and folders below, relative to ``dir_path``."""
        files = sorted(self._path(dir_path).listing() or ())
        folders = sorted({parent.as_posix() for name in files
                          for parent in PurePosixPath(name).parents} - {'.'})
        for name in (*(folders if list_dir else ()), *(files if list_file else ())):
            if (recursive or '/' not in name) and (suffix is None or name.endswith(suffix)):
                yield name

    def remove(self, filepath: str) -> None:
        """Take a file away."""
        self._path(filepath).remove()

    @contextmanager
    def get_local_path(self, filepath: str) -> Iterator[str]:
        """The path of a copy on this machine, which is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix='mmppvit-') as folder:
            path = os.path.join(folder, os.path.basename(str(filepath)) or 'file')
            with open(path, 'wb') as file:
                file.write(self.get(filepath))
            yield path


register_backend('fsspec', FsspecBackend, force=True, prefixes=_PREFIXES + (
    () if find_spec('petrel_client') else ('s3', )))
