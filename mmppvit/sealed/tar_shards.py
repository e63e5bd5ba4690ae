"""Tar files of images, as the WebDataset library reads them, with nothing in them but images."""
from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator

__all__ = ['BLOCK', 'SHARDS', 'member_header', 'padded', 'shard_end', 'shard_file', 'shard_parts']

BLOCK = tarfile.BLOCKSIZE  # 512
SHARDS = 'shards'  # the folder


def shard_file(number: int) -> str:
    """Of shard ``number``, relative to the data set's folder."""
    return f'{SHARDS}/{number:06d}.tar'


def member_header(name: str, size: int) -> bytes:
    """What stands before a file of ``size`` bytes: its name and length, and no time or owner."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT, 'utf-8', 'surrogateescape')


def padded(size: int) -> int:
    """``size``, up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def shard_end() -> bytes:
    """The two empty blocks after the last file."""
    return bytes(2 * BLOCK)


def shard_parts(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[int, bytes]]:
    """The bytes of a shard in parts, one for each file, and where in it the file's content starts.

    The same files give the same bytes.

    Yields:
        tuple[int, bytes]: Offset of the content in the whole shard; header, content and padding.
    """
    position = 0
    for name, content in files:
        header = member_header(name, len(content))
        part = header + content + bytes(padded(len(content)) - len(content))
        yield position + len(header), part
        position += len(part)
