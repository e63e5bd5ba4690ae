"""A sealed data set in a few large files: tar shards, for clusters that dislike many small ones."""
from __future__ import annotations

import hashlib
import shutil
from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path

from mmppvit.encryption import Key
from mmppvit.sealed.entries import ManifestError, SealedImage, entry_of
from mmppvit.sealed.entry_files import ENTRIES, EntryFile, Place, entry_line, write_index
from mmppvit.sealed.manifest import ANNOTATIONS, MANIFEST, SEALED_METADATA, Manifest
from mmppvit.sealed.manifest_format import PACKED_VERSION
from mmppvit.sealed.merkle import leaf_hash
from mmppvit.sealed.packed_names import PackedNames
from mmppvit.sealed.tar_shards import (
    member_header,
    padded,
    shard_end,
    shard_file,
    shard_parts,
)
from mmppvit.utils.atomic import replace_file, sync_files, write_atomic
from mmppvit.utils.regular_files import read_regular
from mmppvit.utils.remote_files import RemotePath, as_place

__all__ = ['MARK', 'MARK_TEXT', 'pack_dataset', 'packed_manifest', 'shard_places', 'write_shards']

MARK, MARK_TEXT = '.packing', b'packing\n'  # a run is at work, or was killed


def pack_dataset(manifest: Manifest, key: Key | None, out: str | Path | RemotePath,
                 shard_bytes: int = 2**28,
                 progress: Callable[[int, int], None] = lambda done, total: None) -> Manifest:
    """Write ``manifest``'s data set to ``out`` as tar shards with a hash tree over their images.

    Images are the same bytes. Every file is checked as it is read, and only what the key signed is
    signed again. The manifest is written last: a run that was killed leaves a folder without one,
    which the same call fills again from the start.

    Args:
        manifest (Manifest): Of a set that is not packed.
        key (Key, optional): That signed it; needed where it is signed.
        out (str | Path | RemotePath): An empty folder, one of a killed run, or none; or the URL of
            one in a store, which gets one shard after the other and the manifest last.
        shard_bytes (int): A shard ends with the image that makes it larger.
        progress (Callable): Called with the images done and their total.

    Raises:
        ManifestError: The set is not what was sealed, or the key another one.
        ValueError: It is packed already, needs the key, or ``out`` holds something else.
    """
    out = as_place(out)
    if _check(manifest, key, out):
        return _without_mark(out)
    _begin(out)
    packed = write_shards(manifest, out, shard_bytes, lambda image, place: manifest.read(image),
                          lambda files, done: progress(done, len(manifest.images)))
    files = [shard_file(i) for i in range(len(packed['shards']))]
    for name, digest in ((ANNOTATIONS, manifest.annotations),
                         (SEALED_METADATA, manifest.sealed_metadata)):
        if digest is not None:
            content = read_regular(manifest.root / name)
            if hashlib.sha256(content).hexdigest() != digest:
                raise ManifestError(f'{manifest.root / name} is not what was sealed: restore it')
            write_atomic(out / name, content, sync=True)
            files.append(name)
    sync_files(out, files)
    if not isinstance(out, RemotePath):
        for path in out.rglob('.tmp-*'):
            path.unlink(missing_ok=True)
    packed_manifest(manifest, out, packed).save(key)  # all that it lists is on the disk by now
    return _without_mark(out)


def write_shards(manifest: Manifest, out: Path | RemotePath, shard_bytes: int,
                 read: Callable[[SealedImage, Place], bytes],
                 written: Callable[[Sequence[str], int], None]) -> dict:
    """Write the images of ``manifest`` as shards, with entries, tree and index.

    Args:
        manifest (Manifest): Of the images.
        out (Path | RemotePath): Folder to write to.
        shard_bytes (int): A shard ends with the image that makes it larger.
        read (Callable): Content of an image that will be at this place, checked.
        written (Callable): Called when a shard is on the disk, with the names of its images and
            the number of images that are done.

    Returns:
        dict: What a manifest says of it: ``count``, ``root``, ``shards``.
    """
    hidden = manifest.sealed_metadata is not None
    shards, lengths, leaves, names = [], array('Q'), bytearray(), PackedNames()
    with replace_file(out / ENTRIES, sync=True) as path, path.open('wb') as lines:
        def contents(places: Iterator[tuple[SealedImage, Place]]) -> Iterator[tuple[str, bytes]]:
            for image, place in places:
                line = entry_line(place, entry_of(image, PACKED_VERSION, hidden))
                lines.write(line + b'\n')
                lengths.append(len(line) + 1)
                leaves.extend(leaf_hash(line))
                names.append(image.file)
                yield image.file, read(image, place)

        for number, places in groupby(shard_places(manifest.images, shard_bytes),
                                      lambda found: found[1].shard):
            first = len(names)
            shards.append(_write_shard(out / shard_file(number), contents(places)))
            written([names[i] for i in range(first, len(names))], len(names))
    return dict(count=len(names), root=write_index(out, names, lengths, bytes(leaves)),
                shards=shards)


def shard_places(images: Iterable[SealedImage], shard_bytes: int
                 ) -> Iterator[tuple[SealedImage, Place]]:
    """Where each image goes, which follows from names and sizes alone."""
    shard = position = 0
    for image in images:
        if position >= shard_bytes:
            shard, position = shard + 1, 0
        position += len(member_header(image.file, image.bytes))
        yield image, Place(shard, position)
        position += padded(image.bytes)


def _write_shard(path: Path | RemotePath, contents: Iterable[tuple[str, bytes]]
                 ) -> tuple[int, str]:
    """Size and SHA-256 of the file that is written."""
    size, digest = 0, hashlib.sha256()
    with replace_file(path, sync=True) as temporary, temporary.open('wb') as file:
        for part in chain((part for _, part in shard_parts(contents)), [shard_end()]):
            file.write(part)
            digest.update(part)
            size += len(part)
    return size, digest.hexdigest()


def packed_manifest(manifest: Manifest, out: Path | RemotePath, packed: dict) -> Manifest:
    """The manifest of a set whose shards are written."""
    return replace(manifest, root=out, version=PACKED_VERSION, packed=packed,
                   images=EntryFile(out, packed['count'], packed['root'], lambda item: item))


def _check(manifest: Manifest, key: Key | None, out: Path | RemotePath) -> bool:
    """Whether a run that was killed has finished all but its mark."""
    if manifest.packed is not None:
        raise ValueError(f'{manifest.root} is packed already')
    if manifest.version < 4:
        raise ValueError(f'{manifest.root} has a manifest of version {manifest.version}, which '
                         'cannot be packed: seal it again')
    if manifest.key is not None and key is None:
        raise ValueError(f'{manifest.root} is signed: packing needs the key, to sign it again')
    if key is not None:
        manifest.check_key(key)
    if isinstance(out, RemotePath) or isinstance(manifest.root, RemotePath):
        same = out == manifest.root
    else:
        same = out.resolve() == manifest.root.resolve()
    if same:
        raise ValueError('--out is the sealed data set itself: choose another one')
    there = _listed(out)
    if MANIFEST in there and MARK in there and _is_packed_of(Manifest.load(out), manifest, key):
        return True
    if MANIFEST in there or (there and MARK not in there):
        raise ValueError(f'{out} is not empty: choose another --out')
    return False


def _is_packed_of(found: Manifest, manifest: Manifest, key: Key | None) -> bool:
    if key is not None:
        found.check_key(key)
    return found.packed is not None and len(found.images) == len(manifest.images) and all(
        getattr(found, name) == getattr(manifest, name) for name in (
            'job', 'counter', 'name', 'role', 'annotations', 'sealed_metadata'))


def _listed(out: Path | RemotePath) -> Container[str]:
    """What lies in ``out``."""
    if not isinstance(out, RemotePath):
        return {path.name for path in out.iterdir()} if out.exists() else set()
    there = out.listing()
    if there is None:
        raise ValueError(f'{out} cannot be written to: pack into a folder and upload it, '
                         f'{MANIFEST} last')
    return there


def _begin(out: Path | RemotePath) -> None:
    """Say that a run is at work, and take away what a killed one has left."""
    if isinstance(out, RemotePath):
        (out / MARK).write(MARK_TEXT)
        for file in out.listing():
            if file.startswith('shards/'):
                (out / file).remove()
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).touch()
    shutil.rmtree(out / 'shards', ignore_errors=True)


def _without_mark(out: Path | RemotePath) -> Manifest:
    """The finished set."""
    if isinstance(out, RemotePath):
        (out / MARK).remove()
    else:
        (out / MARK).unlink(missing_ok=True)
    return Manifest.load(out)
