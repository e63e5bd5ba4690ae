"""What a tar shard must be: headers without secrets, images, empty padding, and nothing else."""
from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from mmppvit.sealed.manifest import Manifest
from mmppvit.sealed.tar_shards import BLOCK, member_header, padded, shard_end, shard_file
from mmppvit.utils.regular_files import open_regular, read_parts
from mmppvit.utils.remote_files import RemotePath

__all__ = ['check_shards']


def check_shards(manifest: Manifest, digests: bool = True) -> Iterator[tuple[str, str]]:
    """File and problem, for every shard that is not what was packed.

    Args:
        manifest (Manifest): Of a packed set.
        digests (bool): Read the shards whole; without it only sizes are looked at.

    Raises:
        ManifestError: The entries are not what was signed.
    """
    with _Pieces(manifest) as pieces:
        ends = list(_ends(manifest, pieces)) if digests else []
    for number, (size, digest) in enumerate(manifest.packed['shards']):
        file = shard_file(number)
        try:
            path = manifest.shard_path(number)
            if manifest.size_of(file) != size:
                yield file, f'{file}: is missing or of another length'
            elif digests and _digest(path) != digest:
                yield file, f'{file}: is not what was packed; the images that changed are listed'
        except OSError as err:
            yield file, f'{file}: {err.strerror or err}'
            continue
    yield from ends


class _Pieces:
    """Parts of shards, from the first to the last; of a store each shard is opened once."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._stack, self._number, self._file = ExitStack(), -1, None

    def __enter__(self) -> _Pieces:
        return self

    def __exit__(self, *error) -> None:
        self._stack.close()

    def read(self, number: int, start: int, length: int) -> bytes:
        path = self._manifest.shard_path(number)
        if not isinstance(path, RemotePath):
            return read_parts(path, [(start, length)])[0]
        if number != self._number:
            self._number = -1
            self._stack.close()
            self._file = self._stack.enter_context(path.open())
            self._number = number
        with path.one_line():
            self._file.seek(start)
            return self._file.read(length)


def _ends(manifest: Manifest, pieces: _Pieces) -> Iterator[tuple[str, str]]:
    """Bytes of a shard that are neither an image nor what has to stand around it."""
    number, position = 0, 0
    for image, place in manifest.entries.places():
        if place.shard != number:
            yield from _check(pieces, number, position, shard_end(), last=True)
            number, position = place.shard, 0
        header = member_header(image.file, image.bytes)
        if place.offset != position + len(header):
            yield shard_file(number), f'{image.file}: does not follow the image before it'
        yield from _check(pieces, number, position, header)
        end = place.offset + image.bytes
        position = place.offset + padded(image.bytes)
        yield from _check(pieces, number, end, bytes(position - end))
    yield from _check(pieces, number, position, shard_end(), last=True)


def _check(pieces: _Pieces, number: int, start: int, expected: bytes, last: bool = False
           ) -> Iterator[tuple[str, str]]:
    file, length = shard_file(number), len(expected) + (BLOCK if last else 0)
    try:
        found = pieces.read(number, start, length)
    except OSError:
        return  # is told once, by its size
    if found != expected:
        yield file, f'{file}: holds other bytes than images at {start}'


def _digest(path: Path | RemotePath) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()
