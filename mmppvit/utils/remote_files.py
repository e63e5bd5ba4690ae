"""Files in object stores and on web servers, read and written whole through fsspec.

Nothing there can be renamed in one step, appended to or locked, so there are no other ways to
write than putting a whole file, which appears with all of its content or not at all.
"""
from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mmppvit.utils.user_errors import UserError

__all__ = ['RemotePath', 'as_place', 'is_url']


def is_url(place: object) -> bool:
    """Whether ``place`` is a string such as 's3://bucket/folder', and no path."""
    return isinstance(place, str) and '://' in place


def as_place(place: str | Path | RemotePath, backend_args: dict | None = None
             ) -> Path | RemotePath:
    """A path of this machine, or of a store where ``place`` is a URL.

    Args:
        place (str | Path | RemotePath): What a user named.
        backend_args (dict, optional): MMEngine's; those of the backend 'fsspec' but its name are
            what fsspec calls storage options.

    Raises:
        UserError: They name another backend, which cannot read parts of files.
    """
    options = dict(backend_args or {})
    backend = options.pop('backend', 'fsspec')
    if not is_url(place):
        return place if isinstance(place, RemotePath) else Path(place)
    if backend != 'fsspec':
        raise UserError(f'sealed data sets are read from {place} by backend_args=dict('
                        f"backend='fsspec', ...), and not by backend={backend!r}: change it, or "
                        'leave it out')
    if place.startswith('file://'):
        return Path(place.removeprefix('file://'))
    return RemotePath(place, options)


class RemotePath:
    """A file or folder of a store: as much of :class:`pathlib.Path` as sealed data sets need.

    Every error of a store is an OSError with one line.

    Args:
        url (str): As fsspec takes it, such as 's3://bucket/folder' or 'memory://folder'.
        options (dict, optional): fsspec's storage options. They may hold secrets and are not shown.
    """

    def __init__(self, url: str, options: dict | None = None) -> None:
        self.url, self.options = url.rstrip('/'), dict(options or {})

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f'{self.url}/{name}', self.options)

    def __str__(self) -> str:
        return re.sub(r'//[^/@]*:[^/@]*@', '//...@', self.url)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({str(self)!r})'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, str]:
        return self.url, json.dumps(self.options, sort_keys=True, default=str)

    @property
    def name(self) -> str:
        return PurePosixPath(self.url).name

    @property
    def parents(self) -> list[RemotePath]:
        """The folders above, from this one's on."""
        start, _, rest = self.url.rpartition('://')
        parts = rest.split('/')
        return [RemotePath(f'{start}://{"/".join(parts[:count])}', self.options)
                for count in range(len(parts) - 1, 0, -1)]

    def read(self, limit: int | None = None) -> bytes:
        """All of a file.

        Args:
            limit (int, optional): Most bytes to read.

        Raises:
            OSError: It is missing, longer than ``limit``, or the store does not give it.
        """
        with self._opened() as (store, path):
            if limit is None:
                return store.cat_file(path)
            content = store.cat_file(path, start=0, end=limit + 1)
        if len(content) > limit:
            raise OSError(0, f'it is longer than {limit} bytes', str(self))
        return content

    def read_parts(self, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Pieces of a file: (start, length) in bytes, all of them within it.

        Raises:
            OSError: It is missing, or the store gives other pieces, as web servers do that know
                whole files only.
        """
        with self._opened() as (store, path):
            found = [store.cat_file(path, start=start, end=start + length)
                     for start, length in parts]
        if any(len(part) > length for part, (_, length) in zip(found, parts, strict=True)):
            raise OSError(0, 'the server gives no parts of files, which packed sets need',
                          str(self))
        return found

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file, to read from its start to its end."""
        with self._opened() as (store, path):
            file = store.open(path, 'rb')
        with file, self.one_line():
            yield file

    def size(self) -> int:
        """Bytes of a file.

        Raises:
            OSError: There is none.
        """
        return self._info()['size'] or 0

    def state(self) -> str:
        """What changes when the file does: its size, and what the store says of its version."""
        info = self._info()
        return repr([info.get(name) for name in ('size', 'ETag', 'etag', 'md5Hash', 'LastModified',
                                                  'last_modified', 'mtime', 'updated', 'created')])

    def _info(self) -> dict:
        with self._opened() as (store, path):
            info = store.info(path)
        if info.get('type') == 'directory':
            raise FileNotFoundError(errno.ENOENT, 'it is a folder', str(self))
        return info

    def listing(self) -> dict[str, int] | None:
        """Sizes of all files below, by their names relative to this folder.

        None where the store cannot tell, as web servers.
        """
        with self._opened() as (store, path):
            if _protocol(store) in ('http', 'https'):
                return None
            try:
                found = store.find(path, detail=True)
            except FileNotFoundError:
                return {}
        start = path.strip('/') + '/'
        return {name.strip('/').removeprefix(start): info['size'] for name, info in found.items()
                if name.strip('/').startswith(start) and info['type'] == 'file'}

    def write(self, content: bytes) -> None:
        """Put a file, which appears whole.

        Raises:
            OSError: The store refuses.
        """
        with self._opened() as (store, path):
            store.pipe_file(path, content)

    def upload(self, file: Path) -> None:
        """Put the content of ``file`` of this machine, as `write`."""
        with self._opened() as (store, path):
            store.put_file(str(file), path)

    def remove(self) -> None:
        """Take the file away; nothing happens where there is none."""
        try:
            with self._opened() as (store, path):
                store.rm_file(path)
        except FileNotFoundError:
            pass

    @contextmanager
    def _opened(self) -> Iterator[tuple[object, str]]:
        """The store and the path within it. fsspec keeps stores, one for each process."""
        try:
            from fsspec.core import url_to_fs
        except ModuleNotFoundError:
            raise UserError(f'{self} is read by fsspec, which is not installed: '
                            'pip install "mmppvit[remote]"') from None
        with self.one_line():
            # A listing that was kept would hide what changed since.
            yield url_to_fs(self.url, **{'use_listings_cache': False, **self.options})

    @contextmanager
    def one_line(self) -> Iterator[None]:
        """Whatever a store raises in the block becomes an OSError that names the file."""
        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, 'there is no such file', str(self)) from None
        except ImportError as err:  # fsspec's text names the package
            raise UserError(f'{self}: {_short(err)} (pip install "mmppvit[remote]" has what s3:// '
                            'and http:// need)') from None
        except Exception as err:  # botocore's and aiohttp's errors are of many kinds
            raise OSError(0, f'{type(err).__name__}: {_short(err)}', str(self)) from None


def _protocol(store: object) -> str:
    protocol = store.protocol
    return protocol if isinstance(protocol, str) else protocol[0]


def _short(err: Exception) -> str:
    text = ' '.join(str(err).split())
    return re.sub(r'//[^/@ ]*:[^/@ ]*@', '//...@', text)[:300]
