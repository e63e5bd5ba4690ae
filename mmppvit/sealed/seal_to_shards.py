"""The end of sealing into shards: images move from their files into tar shards, one by one.

A shard is on the disk before the files of its images are removed, so that at no time more than one
shard is there twice. Where an image lies in its shard follows from the names and sizes in the
journal: a run that was killed finds each image as its file, or in the shard.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from mmppvit.encryption import Key
from mmppvit.sealed.entries import ManifestError, SealedImage
from mmppvit.sealed.entry_files import Place
from mmppvit.sealed.image_files import path_within
from mmppvit.sealed.manifest import ANNOTATIONS, SEALED_METADATA, Manifest
from mmppvit.sealed.pack import packed_manifest, write_shards
from mmppvit.sealed.tar_shards import SHARDS, shard_file
from mmppvit.utils.atomic import sync_files
from mmppvit.utils.regular_files import read_parts, read_regular

__all__ = ['SHARD_BYTES', 'move_into_shards']

SHARD_BYTES = 2**28


def move_into_shards(manifest: Manifest, key: Key | None,
                     progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Pack the images of a set that has no manifest yet, and write the manifest.

    Args:
        manifest (Manifest): Of the images, in ``manifest.root``; json or sealed metadata is there.
        key (Key, optional): To sign it with.
        progress (Callable): Called with the images that are in a shard and their total.

    Raises:
        ManifestError: An image is neither its file nor in its shard as it was sealed.
        ValueError: The folder of the shards is a link.
    """
    root = manifest.root
    if (root / SHARDS).is_symlink():  # files would be written and removed somewhere else
        raise ValueError(f'{root / SHARDS} is a link: remove it')

    done, total = 0, len(manifest.images)
    progress(done, total)

    def read(image: SealedImage, place: Place) -> bytes:
        nonlocal done
        for content in _copies(root, image, place):
            try:
                manifest.check_content(image, content)
                done += 1
                progress(done, total)
                return content
            except ManifestError:
                continue
        raise ManifestError(f'{image.file} was damaged after it was sealed: remove '
                            f'{root / SHARDS}, and --resume seals again what is missing')

    packed = write_shards(manifest, root, SHARD_BYTES, read,
                          lambda files, _: _remove(root, files))
    shards = [shard_file(i) for i in range(len(packed['shards']))]
    for path in (root / SHARDS).iterdir():  # of a run that was killed, and skipped fewer images
        if f'{SHARDS}/{path.name}' not in shards:
            path.unlink()
    sync_files(root, [*shards,
                      *(name for name in (ANNOTATIONS, SEALED_METADATA) if (root / name).exists())])
    packed_manifest(manifest, root, packed).save(key)


def _copies(root: Path, image: SealedImage, place: Place) -> Iterator[bytes]:
    """What is in the image's file, and in its place of the shard, as far as there is any."""
    with suppress(OSError):
        yield read_regular(path_within(root, image.file), image.bytes)
    with suppress(OSError):
        yield read_parts(path_within(root, shard_file(place.shard)),
                         [(place.offset, image.bytes)])[0]


def _remove(root: Path, files: Sequence[str]) -> None:
    """Remove the files of images that a shard has, and folders that are empty then."""
    folders = set()
    for file in files:
        path = path_within(root, file)
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        while folder != root and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
