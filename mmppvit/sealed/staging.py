"""A finished set that changes: the new state is made beside it and put in its place at the end.

While a run is at work, all that differs from the finished set is below ``.sealing/next``. A
manifest there, on the disk with every file that it lists, means that the new state is complete:
from then on it is put in place, by whichever run comes next if this one is killed. What is put in
place is linked or copied, not moved, so that every step can be taken again.
"""
from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from mmppvit.encryption import Key
from mmppvit.sealed.entries import ManifestError
from mmppvit.sealed.image_files import is_safe_name, path_within
from mmppvit.sealed.journal import END_LOCK, WORK, locked
from mmppvit.sealed.json_numbers import parse_json
from mmppvit.sealed.manifest import ANNOTATIONS, MANIFEST, SEALED_METADATA, Manifest
from mmppvit.utils.atomic import replace_file, sync_files, sync_folder, write_atomic
from mmppvit.utils.regular_files import read_regular

__all__ = ['NEXT', 'commit', 'is_committed', 'place_of', 'put_in_place', 'remove_leftovers',
           'remove_unused']

NEXT = f'{WORK}/next'
_GONE = 'gone.json'  # beside the staged manifest: files that the new state has no more


def place_of(out: Path, file: str) -> str:
    """Where the newest ``file`` lies, relative to ``out``: staged or not."""
    staged = f'{NEXT}/{file}'
    return staged if (out / staged).is_file() else file


def is_committed(out: Path) -> bool:
    """Whether a new state is complete, and not in place yet.

    Raises:
        ValueError: The folder that it is staged in is a link.
    """
    for folder in (out / WORK, out / NEXT):
        if folder.is_symlink():  # what is staged would be written somewhere else
            raise ValueError(f'{folder} is a link: remove it')
    return (out / NEXT / MANIFEST).is_file()


def commit(manifest: Manifest, key: Key | None, out: Path, before: Manifest) -> None:
    """Say that the new state is complete; all of it is on the disk.

    Args:
        manifest (Manifest): Of the new state, with the folder ``out/.sealing/next``.
        key (Key, optional): To sign it with.
        out (Path): The data set.
        before (Manifest): Of the state that is in place.
    """
    gone = sorted(before.listed_files() - manifest.listed_files())
    write_atomic(manifest.root / _GONE, json.dumps(gone).encode(), sync=True)
    sync_files(out, [f'{NEXT}/{_GONE}'])
    manifest.save(key)
    sync_folder(out / NEXT)


def put_in_place(out: Path, key: Key | None) -> None:
    """Put a complete new state in place of the old one, and go on with what was interrupted.

    Raises:
        ManifestError: It was not signed by ``key``, is older than what is in place, or a file of
            it is neither staged nor in place.
    """
    new = Manifest.load(out / NEXT)
    if key is not None:
        new.check_key(key)
    elif new.key is not None:
        raise ManifestError(f'{out / NEXT} is signed: putting it in place needs the key')
    was = {}
    if (out / MANIFEST).is_file():
        old = Manifest.load(out)
        other = old.version > 3 and (new.name, new.role) != (old.name, old.role)
        if other or new.counter < old.counter:
            raise ManifestError(f'{out / NEXT} has counter {new.counter} of {new.name!r}, and '
                                f'{out} has {old.counter} of {old.name!r}: remove {out / WORK}')
        if key is None and old.key is not None:
            raise ManifestError(f'{out} is signed, and {out / NEXT} is not: remove {out / WORK}')
        was = _digests(old)
    digests = _digests(new)
    for file in digests.keys() - {file for file in was if was[file] == digests.get(file)}:
        if not (out / NEXT / file).is_file() and not _is(path_within(out, file), digests[file]):
            raise ManifestError(f'{file} is neither in {out / NEXT} nor in place: remove '
                                f'{out / WORK}, and start the update again')
    # New files first, which the old state does not know: it stays whole for longer.
    for files in (digests.keys() - was.keys(), digests.keys() & was.keys()):
        sync_files(out, [file for file in sorted(files) if _put(out, file, digests[file])])
    _link(out / NEXT / MANIFEST, out / MANIFEST)
    sync_files(out, [MANIFEST])
    _remove(out, _gone(out), digests.keys())
    (out / NEXT / MANIFEST).unlink()
    sync_folder(out / NEXT)
    remove_leftovers(out)


def _digests(manifest: Manifest) -> dict[str, str]:
    """SHA-256 of every file of a set but its manifest. Sealed metadata, if any, is open."""
    digests = {image.file: image.sha256 for image in manifest.images}
    return digests | {name: digest for name, digest in (
        (ANNOTATIONS, manifest.annotations), (SEALED_METADATA, manifest.sealed_metadata))
        if digest is not None}


def _is(path: Path, digest: str) -> bool:
    """Whether there is such a file with this content."""
    try:
        return hashlib.sha256(read_regular(path)).hexdigest() == digest
    except OSError:
        return False


def _put(out: Path, file: str, digest: str) -> bool:
    """Put a staged file in place; whether there was one. What is staged no more is in place."""
    staged = out / NEXT / file
    if not staged.is_file():
        return False
    if not _is(path_within(out / NEXT, file), digest):
        if _is(path_within(out, file), digest):  # a killed run staged what is not wanted any more
            return False
        raise ManifestError(f'{staged} is not what was sealed: remove {out / WORK}, and start the '
                            'update again')
    _link(staged, path_within(out, file))
    return True


def _link(source: Path, target: Path) -> None:
    with replace_file(target) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:  # not on every file system
            shutil.copyfile(source, temporary)


def _gone(out: Path) -> list[str]:
    try:
        files = parse_json(read_regular(out / NEXT / _GONE))
    except (OSError, ValueError, RecursionError):  # nobody signs it: it takes away, if anything
        return []
    return files if isinstance(files, list) else []


def _remove(out: Path, files: Iterable[str], kept: Iterable[str]) -> None:
    folders = set()
    for file in files:
        if is_safe_name(file) and file not in kept and file.startswith(('images', ANNOTATIONS)):
            path = path_within(out, file)
            path.unlink(missing_ok=True)
            folders.add(path.parent)
    for folder in folders:
        if folder.is_dir():
            sync_folder(folder)
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        while folder != out and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def _remove_work(out: Path) -> None:
    """Its lock last: until then no other run makes files there."""
    work = out / WORK
    if work.is_symlink() or not work.is_dir():
        return
    shutil.rmtree(out / NEXT, ignore_errors=True)
    lock = out / END_LOCK
    with suppress(OSError):
        for path in (*(path for path in work.iterdir() if path != lock), lock):
            path.unlink(missing_ok=True)
        work.rmdir()


def remove_unused(out: Path) -> None:
    """What a run made that came too late: locks without a journal, which nobody holds."""
    work = out / WORK
    with suppress(FileNotFoundError, BlockingIOError), locked(out / END_LOCK), ExitStack() as held:
        for path in work.iterdir():
            if path.suffix != '.lock':
                return
            if path != out / END_LOCK:
                held.enter_context(locked(path, wait=False))
        _remove_work(out)


def remove_leftovers(out: Path) -> None:
    """Journals, and temporary files of runs that were killed."""
    _remove_work(out)
    for folder, _, files in os.walk(out):
        for name in files:
            if name.startswith('.tmp-') and not Path(name).suffix:  # an image may be called so
                (Path(folder) / name).unlink(missing_ok=True)
