"""Is a sealed data set still what was sealed, and did nothing plain slip in?"""
from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from mmppvit.encryption import Key
from mmppvit.sealed.image_files import decode_image
from mmppvit.sealed.manifest import (
    ANNOTATIONS,
    MANIFEST,
    SEALED_METADATA,
    Manifest,
    ManifestError,
    SealedImage,
)

__all__ = ['metadata_of', 'verify_sealed']

# What pixels need. Everything else can carry text, a thumbnail or a place.
_PNG_CHUNKS = {b'IHDR', b'IDAT', b'IEND'}
_WEBP_CHUNKS = {b'VP8L'}


def verify_sealed(root: Path, key: Key | None = None,
                  progress: Callable[[int, int], None] = lambda done, total: None
                  ) -> Iterator[str]:
    """Problems of the sealed data set ``root``, one sentence each; none if all is well.

    Checked are: the manifest's digest and, with the key, its signature; that every file is there,
    unchanged, an image of its size and free of metadata, and nothing else is; that json and
    images belong together; that no image looks as if it had not been encrypted.

    Raises:
        ManifestError: There is no valid manifest, or the key is another one.
    """
    manifest = Manifest.load(root)
    if key is not None:
        manifest.check_key(key)
    yield from _unlisted_files(manifest)
    if manifest.annotations is not None:
        yield from _check_annotations(manifest)
    for done, image in enumerate(manifest.images, 1):
        yield from _check_image(manifest, image)
        progress(done, len(manifest.images))


def _unlisted_files(manifest: Manifest) -> Iterator[str]:
    listed = {MANIFEST, *manifest.by_file}
    if manifest.annotations is not None:
        listed.add(ANNOTATIONS)
    if manifest.sealed_metadata is not None:
        listed.add(SEALED_METADATA)
    for folder, folders, files in os.walk(manifest.root):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted(files + links):
            file = (Path(folder) / name).relative_to(manifest.root).as_posix()
            if file not in listed:
                file = file.encode(errors='backslashreplace').decode()  # so that it can be printed
                yield f'{file}: is not part of the data set; it may be a plain image'


def _check_annotations(manifest: Manifest) -> Iterator[str]:
    try:
        images = manifest.read_annotations()['images']
        named = {str(item['file_name']): (item['width'], item['height']) for item in images}
    except ManifestError as err:
        yield str(err)
        return
    except (KeyError, TypeError):
        yield f'{ANNOTATIONS}: is not a COCO json'
        return
    sealed = {image.file.partition('/')[2]: image.plain for image in manifest.images}
    for name in sorted(named.keys() ^ sealed.keys()):
        where = 'the json only' if name in named else 'the manifest only'
        yield f'{name}: is in {where}'
    for name in sorted(named.keys() & sealed.keys()):
        if tuple(named[name]) != sealed[name]:
            yield f'{name}: is {named[name]} in the json and {sealed[name]} in the manifest'


def _check_image(manifest: Manifest, image: SealedImage) -> Iterator[str]:
    try:
        content = manifest.read(image)
        img = decode_image(content)
    except (ManifestError, OSError) as err:
        yield str(err) if isinstance(err, ManifestError) else f'{image.file}: {err}'
        return
    if (img.shape[1], img.shape[0]) != image.size:
        yield (f'{image.file}: is {img.shape[1]}x{img.shape[0]} and should be '
               '{}x{}'.format(*image.size))
        return
    extra = metadata_of(content)
    if extra:
        yield f'{image.file}: carries metadata ({", ".join(extra)})'
    if manifest.scheme.looks_plain(img):
        yield (f'{image.file}: looks as if it had not been encrypted with scheme '
               f'{manifest.scheme.name}')


def metadata_of(content: bytes) -> list[str]:
    """Names of the parts of a PNG or WebP file that are not pixels."""
    if content[:8] == b'\x89PNG\r\n\x1a\n':
        return sorted({_name(kind) for kind, _ in _png_chunks(content)} -
                      {_name(kind) for kind in _PNG_CHUNKS})
    if content[:4] == b'RIFF' and content[8:12] == b'WEBP':
        kinds = list(_webp_chunks(content))
        again = {kind for kind in _WEBP_CHUNKS if kinds.count(kind) > 1}
        return sorted(map(_name, (set(kinds) - _WEBP_CHUNKS) | again))
    return ['neither PNG nor WebP']


def _name(kind: bytes) -> str:
    return kind.decode('ascii', errors='backslashreplace').strip()


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int]]:
    start = 8
    while start + 12 <= len(content):
        length, kind = struct.unpack_from('>I4s', content, start)
        yield kind, length
        start += 12 + length
        if kind == b'IEND':
            break
    if start != len(content):
        yield b'data after the end', 0


def _webp_chunks(content: bytes) -> Iterator[bytes]:
    start = 12
    while start + 8 <= len(content):
        kind, length = struct.unpack_from('<4sI', content, start)
        yield kind
        start += 8 + length + length % 2
    if start != len(content):
        yield b'data after the end'
