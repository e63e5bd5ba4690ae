"""Sealed data sets: reading them, and making them."""
from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2

from benchmark_suites.case import Case
from benchmark_suites.transforms import find_image, make_pipeline
from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import Manifest, SealedImage, SealJob
from mmppvit.sealed.plain_images import read_plain
from mmppvit.sealed.sources import Source
from mmppvit.sealed.writer import seal_image
from mmppvit.utils.atomic import write_atomic

SEALED = [('mix', 'png'), ('mix', 'webp'), ('mix+shuffle', 'png'), ('mix+center+shuffle', 'png')]


def sealed_cases(args: argparse.Namespace) -> Iterator[Case]:
    """Reading sealed images against plain ones, sealing against decoding and encoding alone."""
    scale = (96, 64) if args.quick else (1333, 800)
    with tempfile.TemporaryDirectory() as folder:
        path, _ = find_image(folder, args.quick)
        key = Key.create(Path(folder, 'owner.key'))
        plain = [dict(type='Resize', scale=scale, keep_ratio=True)]
        for name, image_format in SEALED:
            scheme = Scheme(name, center_strength=1. if 'center' in name else 0.)
            out = Path(folder, f'{name}-{image_format}')
            job = SealJob(Path(folder, 'plain'), out, scheme, key=key if scheme.shuffles else None,
                          scales=(scale, ), image_format=image_format)
            image = seal_one(job, Path(path))
            shape = f'{image.size[1] * scheme.grid}x{image.size[0] * scheme.grid}x3'
            keyed = dict(key_file=str(Path(folder, 'owner.key'))) if scheme.shuffles else {}
            for end in ('', ' (augmented)') if scheme.shuffles else ('', ):
                again = [dict(type='UnshufflePatches'), dict(type='ShufflePatches', **keyed)]
                steps = [dict(type='ReadSeal', **keyed), *(again if end else [])]
                yield Case(f'load to pack, {name} {image_format}{end}', shape,
                           partial(make_pipeline, str(out / image.file), steps),
                           'plain, resized', partial(make_pipeline, path, plain))
            yield Case(f'seal, {name} {image_format}', shape,
                       partial(make_sealing, path, job), 'imread and imwrite',
                       partial(make_recoding, path, str(out / image.file), image_format))


def seal_one(job: SealJob, path: Path) -> SealedImage:
    """A sealed data set of one image."""
    name, plain = f'{path.stem}.{job.image_format}', read_plain(path)
    (image, content), = seal_image(plain.img, plain.content, Source(path.name), name, job)
    write_atomic(job.out / image.file, content)
    Manifest(job.out, job.scheme, job.image_format, list(job.scales), '0' * 64,
             job.key and dict(fingerprint=job.key.fingerprint, derivation=1),
             images=[image], counter=1).save(job.key)
    return image


def make_sealing(path: str, job: SealJob) -> Callable:
    """All that sealing does for one image, written out."""

    def run() -> None:
        plain = read_plain(path)
        for image, content in seal_image(plain.img, plain.content, Source(Path(path).name),
                                         'again', job):
            write_atomic(job.out / f'{image.file}.{job.image_format}', content)

    return run


def make_recoding(path: str, sealed: str, image_format: str) -> Callable:
    """Read the plain image and write one of the sealed size, with OpenCV's defaults."""
    img, out = cv2.imread(sealed), f'{sealed}.again.{image_format}'
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if image_format == 'webp' else []

    def run() -> None:
        cv2.imread(path)
        cv2.imwrite(out, img, options)

    return run
