"""Is a sealed data set still what was sealed, and did nothing plain slip in?"""
from __future__ import annotations

import itertools
import os
import random
import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmppvit.encryption import Key
from mmppvit.sealed.check_shards import check_shards
from mmppvit.sealed.image_files import declared_size, decode_image
from mmppvit.sealed.journal import WORK
from mmppvit.sealed.manifest import (
    ANNOTATIONS,
    Manifest,
    ManifestError,
    SealedImage,
)
from mmppvit.sealed.pack import MARK, MARK_TEXT
from mmppvit.sealed.pixels_only import extras_of, metadata_of
from mmppvit.utils.printable import printable
from mmppvit.utils.regular_files import read_regular
from mmppvit.utils.remote_files import RemotePath

__all__ = ['Problem', 'VerifyReport', 'check_sealed', 'choose_subset', 'verify_sealed']


class Problem(str):
    """A sentence that says what is wrong and where; ``file`` is relative to the data set.

    It can be printed as it is: what a terminal obeys is escaped.
    """
    file: str

    def __new__(cls, file: str, what: str) -> Problem:
        problem = super().__new__(cls, printable(what))
        problem.file = printable(file)
        return problem


@dataclass
class VerifyReport:
    """What was found: images listed, looked into and good, bytes of the good ones, and problems.

    ``signed`` and ``signature_checked`` say what the name, role and counter are worth.
    """
    images: int
    looked_into: int = 0
    good: int = 0
    good_bytes: int = 0
    name: str = ''
    role: str = ''
    counter: int = 0
    signed: bool = False
    signature_checked: bool = False
    problems: list[Problem] = field(default_factory=list)


def verify_sealed(root: str | Path | RemotePath, key: Key | None = None,
                  progress: Callable[[int, int], None] = lambda done, total: None
                  ) -> Iterator[Problem]:
    """Problems of the sealed data set ``root``, one sentence each; none if all is well.

    Checked are: the manifest's digest and, with the key, its signature; that every file is there,
    unchanged, an image of its size, and holds its pixels and nothing else; that nothing else is
    there; that json and images belong together; that no image looks as if it had not been
    encrypted.

    Raises:
        ManifestError: There is no valid manifest, or the key is another one.
    """
    yield from check_sealed(root, key, progress=progress).problems


def check_sealed(root: str | Path | RemotePath, key: Key | None = None, *, name: str | None = None,
                 role: str | None = None, at_least: int | None = None, subset: str | None = None,
                 progress: Callable[[int, int], None] = lambda done, total: None) -> VerifyReport:
    """As `verify_sealed`, and how much is still good.

    Args:
        root (str | Path | RemotePath): The data set; a string may be a URL.
        key (Key, optional): That signed it.
        name, role, at_least: What is expected, see :meth:`Manifest.check_identity`.
        subset (str, optional): Images to look into, see `choose_subset`; of the others it is only
            checked that they are there with their size.
        progress (Callable): Called with the images checked and their total.

    Raises:
        ManifestError: There is no valid manifest, the key is another one, or it is another set
            than the one that is expected, or an older one.
        ValueError: ``subset`` is none.
    """
    manifest = Manifest.load(root)
    if key is not None:
        manifest.check_key(key)
    manifest.check_identity(name, role, at_least)
    report = VerifyReport(len(manifest.images), name=manifest.name, role=manifest.role,
                          counter=manifest.counter, signed=manifest.key is not None,
                          signature_checked=key is not None)
    chosen = choose_subset(subset, len(manifest.images))
    report.problems += _unlisted_files(manifest)
    if manifest.annotations is not None or (manifest.sealed_metadata and not manifest.locked):
        report.problems += _check_annotations(manifest)
    if manifest.packed is not None:
        report.problems += itertools.starmap(Problem, check_shards(manifest, subset is None))
    for index, image in enumerate(manifest.images):
        inside = index in chosen
        found = list(_check_image(manifest, image) if inside else _check_size(manifest, image))
        report.problems += found
        report.looked_into += inside
        if not found:
            report.good += 1
            report.good_bytes += image.bytes
        progress(index + 1, len(manifest.images))
    return report


def choose_subset(text: str | None, count: int) -> Container[int]:
    """Which of ``count`` images to look into.

    Args:
        text (str, optional): 'n/t', the n-th of t parts from 1 on, so that t runs see all;
            'x%', a random share; None for all.
        count (int): Number of images.

    Raises:
        ValueError: It is neither.
    """
    if text is None:
        return range(count)
    part = re.fullmatch(r'(\d{1,9})/(\d{1,9})', text)
    if part and 1 <= int(part[1]) <= int(part[2]):
        return range(int(part[1]) - 1, count, int(part[2]))
    share = re.fullmatch(r'(\d{1,3}(?:\.\d{1,9})?)%', text)
    if share and 0 < float(share[1]) <= 100:
        number = max(1, round(count * float(share[1]) / 100))
        return set(random.sample(range(count), min(number, count)))
    raise ValueError(f'{text!r:.40} is no part of the data: write 1/5 for the first of five parts, '
                     'or 10% for a random tenth')


def _unlisted_files(manifest: Manifest) -> Iterator[Problem]:
    listed = manifest.listed_files()
    at_work = False
    for file in _files_of(manifest):
        if file.startswith(f'{WORK}/'):
            at_work = True
        elif file == MARK and manifest.packed is not None and _is_mark(manifest):
            pass  # a run of pack was killed after its last file
        elif file not in listed:
            yield Problem(file, f'{file}: is not part of the data set; it may be a plain image')
    if at_work:
        yield Problem(WORK, f'{WORK}: a run that seals is at work or was interrupted; --resume or '
                      '--update with the same options goes on with it')


def _is_mark(manifest: Manifest) -> bool:
    try:
        return read_regular(manifest.root / MARK, len(MARK_TEXT)) in (b'', MARK_TEXT)
    except OSError:
        return False


def _files_of(manifest: Manifest) -> Iterator[str]:
    """All files that are there, and links; of a web server nobody knows."""
    if isinstance(manifest.root, RemotePath):
        yield from sorted(manifest.listing or ())
        return
    for folder, folders, files in os.walk(manifest.root):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted(files + links):
            yield (Path(folder) / name).relative_to(manifest.root).as_posix()


def _check_annotations(manifest: Manifest) -> Iterator[Problem]:
    try:
        images = manifest.read_annotations()['images']
        named = {str(item['file_name']): (item['width'], item['height']) for item in images}
    except ManifestError as err:
        yield Problem(ANNOTATIONS, str(err))
        return
    except (KeyError, TypeError):
        yield Problem(ANNOTATIONS, f'{ANNOTATIONS}: is not a COCO json')
        return
    sealed = {image.file.partition('/')[2]: image.plain for image in manifest.images}
    for name in sorted(named.keys() ^ sealed.keys()):
        where = 'the json only' if name in named else 'the manifest only'
        yield Problem(ANNOTATIONS, f'{name}: is in {where}')
    for name in sorted(named.keys() & sealed.keys()):
        if tuple(named[name]) != sealed[name]:
            yield Problem(ANNOTATIONS, f'{name}: is {named[name]} in the json and {sealed[name]} '
                          'in the manifest')


def _check_size(manifest: Manifest, image: SealedImage) -> Iterator[Problem]:
    if manifest.packed is not None:  # its shard was looked at
        return
    try:
        path = manifest.path(image)
        is_file = isinstance(path, RemotePath) or path.is_file()
        if not is_file or manifest.size_of(image.file) != image.bytes:
            yield Problem(image.file, f'{image.file}: is missing or of another length')
    except OSError as err:
        yield Problem(image.file, f'{image.file}: {err}')


def _check_image(manifest: Manifest, image: SealedImage) -> Iterator[Problem]:
    try:
        content = manifest.read(image)
        size = declared_size(content)
        # Before it is decoded: a small file may claim to be a huge image.
        if size is not None and size != image.size:
            yield Problem(image.file, '{}: is {}x{} and should be {}x{}'.format(
                image.file, *size, *image.size))
            return
        img = decode_image(content)
    except (ManifestError, OSError) as err:
        text = str(err) if isinstance(err, ManifestError) else f'{image.file}: {err}'
        yield Problem(image.file, text)
        return
    yield from _check_pixels(manifest, image, content, img)


def _check_pixels(manifest: Manifest, image: SealedImage, content: bytes, img
                  ) -> Iterator[Problem]:
    if (img.shape[1], img.shape[0]) != image.size:
        yield Problem(image.file, f'{image.file}: is {img.shape[1]}x{img.shape[0]} and should be '
                      '{}x{}'.format(*image.size))
        return
    metadata = metadata_of(content)
    extras = None if metadata else extras_of(content, img)
    if metadata:
        yield Problem(image.file, f'{image.file}: carries metadata ({", ".join(metadata)})')
    if extras:
        yield Problem(image.file, f'{image.file}: carries {extras}')
    if manifest.scheme.looks_plain(img):
        yield Problem(image.file, f'{image.file}: looks as if it had not been encrypted with '
                      f'scheme {manifest.scheme.name}')
