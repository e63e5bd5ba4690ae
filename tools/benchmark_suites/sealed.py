"""Sealed data sets: reading them, and making them."""
from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmark_suites.case import Case
from benchmark_suites.transforms import find_image, make_pipeline
from mmppvit.atomic import write_atomic
from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import Manifest, SealedPicture, SealJob
from mmppvit.sealed.sources import Source
from mmppvit.sealed.writer import seal_picture

import cv2

SEALED = [('mix', 'png'), ('mix', 'webp'), ('mix+shuffle', 'png'), ('mix+center+shuffle', 'png')]


def sealed_cases(args: argparse.Namespace) -> Iterator[Case]:
    """Reading sealed pictures against plain ones, sealing against decoding and encoding alone."""
    scale = (96, 64) if args.quick else (1333, 800)
    with tempfile.TemporaryDirectory() as folder:
        path, _ = find_image(folder, args.quick)
        key = Key.create(Path(folder, 'owner.key'))
        plain = [dict(type='Resize', scale=scale, keep_ratio=True)]
        for name, picture_format in SEALED:
            scheme = Scheme(name, center_strength=1. if 'center' in name else 0.)
            out = Path(folder, f'{name}-{picture_format}')
            job = SealJob(Path(folder, 'plain'), out, scheme, key=key if scheme.shuffles else None,
                          scales=(scale, ), picture_format=picture_format)
            picture = seal_one(job, Path(path))
            shape = f'{picture.size[1] * scheme.grid}x{picture.size[0] * scheme.grid}x3'
            keyed = dict(key_file=str(Path(folder, 'owner.key'))) if scheme.shuffles else {}
            for end in ('', ' (augmented)') if scheme.shuffles else ('', ):
                again = [dict(type='UnshufflePatches'), dict(type='ShufflePatches', **keyed)]
                steps = [dict(type='ReadSeal', **keyed), *(again if end else [])]
                yield Case(f'load to pack, {name} {picture_format}{end}', shape,
                           partial(make_pipeline, str(out / picture.file), steps),
                           'plain, resized', partial(make_pipeline, path, plain))
            yield Case(f'seal, {name} {picture_format}', shape,
                       partial(make_sealing, path, job), 'imread and imwrite',
                       partial(make_recoding, path, str(out / picture.file), picture_format))


def seal_one(job: SealJob, path: Path) -> SealedPicture:
    """A sealed data set of one picture."""
    name = f'{path.stem}.{job.picture_format}'
    (picture, content), = seal_picture(path.read_bytes(), Source(path.name), name, job)
    write_atomic(job.out / picture.file, content)
    Manifest(job.out, job.scheme, job.picture_format, list(job.scales), '0' * 64,
             job.key and dict(fingerprint=job.key.fingerprint, derivation=1),
             pictures=[picture]).save(job.key)
    return picture


def make_sealing(path: str, job: SealJob) -> Callable:
    """All that sealing does for one picture, written out."""

    def run() -> None:
        for picture, content in seal_picture(Path(path).read_bytes(), Source(Path(path).name),
                                             'again', job):
            write_atomic(job.out / f'{picture.file}.{job.picture_format}', content)

    return run


def make_recoding(path: str, sealed: str, picture_format: str) -> Callable:
    """Read the plain picture and write one of the sealed size, with OpenCV's defaults."""
    img, out = cv2.imread(sealed), f'{sealed}.again.{picture_format}'
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if picture_format == 'webp' else []

    def run() -> None:
        cv2.imread(path)
        cv2.imwrite(out, img, options)

    return run
