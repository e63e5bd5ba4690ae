"""Whether an image file holds its pixels and nothing else that could carry an image or a place."""
from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np

from mmppvit.sealed.image_files import decode_image

__all__ = ['extras_of', 'metadata_of']

# What pixels need. Everything else can carry text, a thumbnail or a place.
_PNG_CHUNKS = {b'IHDR', b'IDAT', b'IEND'}
_WEBP_CHUNKS = {b'VP8L'}
_PNG, _RIFF = b'\x89PNG\r\n\x1a\n', b'RIFF'
_RGB = 2


def metadata_of(content: bytes) -> list[str]:
    """Names of the parts of a PNG or WebP file that are not pixels."""
    if content[:8] == _PNG:
        return sorted({_name(kind) for kind, _ in _png_chunks(content)} -
                      {_name(kind) for kind in _PNG_CHUNKS})
    if content[:4] == _RIFF and content[8:12] == b'WEBP':
        kinds = [kind for kind, _ in _webp_chunks(content)]
        again = {kind for kind in _WEBP_CHUNKS if kinds.count(kind) > 1}
        return sorted(map(_name, (set(kinds) - _WEBP_CHUNKS) | again))
    return ['neither PNG nor WebP']


def extras_of(content: bytes, img: np.ndarray) -> str | None:
    """What a file without metadata holds beside ``img``, which was decoded from it, or None.

    Of a PNG the pixels are laid out again and compared with what its stream decompresses to, to
    the last byte: no other channel, depth or filter, and nothing behind the stream. Of a WebP no
    channel may be transparent, and the pixels must need its last bytes.
    """
    if content[:8] == _PNG:
        return _extras_of_png(content, img)
    if cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED).shape[2:] != (3, ):
        return 'an alpha channel'
    return 'bytes behind the pixels' if _is_longer_than_needed(content, img) else None


def _extras_of_png(content: bytes, img: np.ndarray) -> str | None:
    depth, color, _, _, interlaced = struct.unpack_from('>5B', content, 24)
    if (depth, color, interlaced) != (8, _RGB, 0):
        return 'channels or bits that are not those of an RGB image'
    stream = b''.join(part for kind, part in _png_chunks(content) if kind == b'IDAT')
    needed = img.shape[0] * (1 + 3 * img.shape[1])
    unpacker = zlib.decompressobj()
    try:
        lines = unpacker.decompress(stream, needed + 1)  # a bomb stops here
    except zlib.error:
        return 'a stream that is damaged'
    if len(lines) != needed or not unpacker.eof:
        return 'more bytes in the stream than pixels'
    if unpacker.unused_data:
        return 'bytes behind the stream'
    if len(stream) > needed + needed // 512 + 1024:
        return 'a stream that is longer than its pixels'
    rows = np.frombuffer(lines, np.uint8).reshape(img.shape[0], -1)
    stored = not rows[:, 0].any()
    if stored and not (rows[:, 1:].reshape(img.shape) == img[..., ::-1]).all():
        return 'other pixels than are decoded'
    return None


def _is_longer_than_needed(content: bytes, img: np.ndarray) -> bool:
    """Whether the same pixels come out of the file without the last 8 bytes of its stream."""
    length = int.from_bytes(content[16:20], 'little')
    stream = content[20:20 + length][:-8]
    if len(stream) < 8:
        return False
    shorter = b'WEBPVP8L' + len(stream).to_bytes(4, 'little') + stream + b'\0' * (len(stream) % 2)
    try:
        again = decode_image(_RIFF + len(shorter).to_bytes(4, 'little') + shorter)
    except OSError:
        return False
    return again.shape == img.shape and bool((again == img).all())


def _name(kind: bytes) -> str:
    return kind.decode('ascii', errors='backslashreplace').strip()


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 8
    while start + 12 <= len(content):
        length, kind = struct.unpack_from('>I4s', content, start)
        yield kind, content[start + 8:start + 8 + length]
        start += 12 + length
        if kind == b'IEND':
            break
    if start != len(content):
        yield b'data after the end', b''


def _webp_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 12
    while start + 8 <= len(content):
        kind, length = struct.unpack_from('<4sI', content, start)
        yield kind, content[start + 8:start + 8 + length]
        start += 8 + length + length % 2
    if start != len(content):
        yield b'data after the end', b''
