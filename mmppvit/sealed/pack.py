"""A sealed data set in a few large files: tar shards, for clusters that dislike many small ones."""
from __future__ import annotations

import hashlib
import shutil
from array import array
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from pathlib import Path

from mmppvit.encryption import Key
from mmppvit.sealed.entries import ManifestError, SealedImage, entry_of
from mmppvit.sealed.entry_files import ENTRIES, EntryFile, Place, entry_line, write_index
from mmppvit.sealed.manifest import ANNOTATIONS, MANIFEST, SEALED_METADATA, Manifest
from mmppvit.sealed.manifest_format import PACKED_VERSION
from mmppvit.sealed.merkle import leaf_hash
from mmppvit.sealed.tar_shards import shard_end, shard_file, shard_parts
from mmppvit.utils.atomic import replace_file, sync_files, write_atomic
from mmppvit.utils.regular_files import read_regular
from mmppvit.utils.remote_files import RemotePath, as_place

__all__ = ['pack_dataset']

_MARK = '.packing'  # a run is at work, or was killed


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
    _check(manifest, key, out)
    _begin(out)
    shards, lengths, leaves, names = [], array('Q'), bytearray(), []
    images = iter(manifest.images)
    with replace_file(out / ENTRIES, sync=True) as path, path.open('wb') as lines:
        while len(names) < len(manifest.images):
            part = _write_shard(manifest, images, out, len(shards), shard_bytes)
            for image, place in part.places:
                line = entry_line(place, entry_of(image, PACKED_VERSION,
                                                  manifest.sealed_metadata is not None))
                lines.write(line + b'\n')
                lengths.append(len(line) + 1)
                leaves += leaf_hash(line)
                names.append(image.file)
            shards.append([part.size, part.digest.hexdigest()])
            progress(len(names), len(manifest.images))
    root = write_index(out, names, lengths, bytes(leaves))
    return _finish(manifest, key, out, dict(count=len(names), root=root, shards=shards))


def _check(manifest: Manifest, key: Key | None, out: Path | RemotePath) -> None:
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
    if MANIFEST in there or (there and _MARK not in there):
        raise ValueError(f'{out} is not empty: choose another --out')


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
        (out / _MARK).write(b'packing\n')
        for file in out.listing():
            if file.startswith('shards/'):
                (out / file).remove()
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARK).touch()
    shutil.rmtree(out / 'shards', ignore_errors=True)


class _Shard:
    """What was written: places of its images, its size and digest."""

    def __init__(self) -> None:
        self.places: list[tuple[SealedImage, Place]] = []
        self.size, self.digest = 0, hashlib.sha256()


def _write_shard(manifest: Manifest, images: Iterator[SealedImage],
                 out: Path | RemotePath, number: int, shard_bytes: int) -> _Shard:
    shard, taken = _Shard(), []

    def contents() -> Iterator[tuple[str, bytes]]:
        while shard.size < shard_bytes and (image := next(images, None)) is not None:
            taken.append(image)
            yield image.file, manifest.read(image)

    with replace_file(out / shard_file(number), sync=True) as path, path.open('wb') as file:
        def write(content: bytes) -> None:
            file.write(content)
            shard.digest.update(content)
            shard.size += len(content)

        for offset, content in shard_parts(contents()):
            shard.places.append((taken[-1], Place(number, offset)))
            write(content)
        write(shard_end())
    return shard


def _finish(manifest: Manifest, key: Key | None, out: Path | RemotePath, packed: dict) -> Manifest:
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
    done = replace(manifest, root=out, version=PACKED_VERSION, packed=packed,
                   images=EntryFile(out, packed['count'], packed['root'], lambda item: item))
    done.save(key)  # all that it lists is on the disk by now
    if isinstance(out, RemotePath):
        (out / _MARK).remove()
    else:
        for path in (*out.rglob('.tmp-*'), out / _MARK):
            path.unlink(missing_ok=True)
    return Manifest.load(out)
