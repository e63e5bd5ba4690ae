"""One plain image becomes sealed files: what every process that seals does, again and again."""
from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mmppvit.encryption import padded_shape
from mmppvit.sealed.clipping import Clipping
from mmppvit.sealed.entries import SealedImage, image_folder
from mmppvit.sealed.image_files import encode_image, path_within
from mmppvit.sealed.job import SealJob
from mmppvit.sealed.source_reader import SourceReader
from mmppvit.sealed.sources import Source
from mmppvit.sealed.weakening import look_of
from mmppvit.utils.atomic import write_atomic
from mmppvit.utils.regular_files import read_regular

__all__ = ['Result', 'Sealer', 'Task', 'seal_image']

Task = tuple[int, Source, str]  # index, plain image, name of the sealed files


class Result(NamedTuple):
    """Of one image: its files, how many of them were there already, or why it was skipped.

    ``clipped``: values at the ends of the range, of how many.
    """
    index: int
    files: list[SealedImage]
    problem: str | None = None
    kept: int = 0
    look: int | None = None
    remarks: tuple[str, ...] = ()
    clipped: tuple[int, int] = (0, 0)


class Sealer:
    """Seals images of one job and writes their files; what to note about them is returned.

    Args:
        job (SealJob): How to seal.
        resume (bool): Whether a file that has the very bytes stays as it is.
        places (tuple[Path, ...]): Where a sealed file may be; the first is written to.
        write (bool): Whether it is; else images are compared with what is there.
    """

    def __init__(self, job: SealJob, resume: bool, places: tuple[Path, ...], write: bool = True
                 ) -> None:
        self._job, self._resume, self._places, self._write = job, resume, places, write
        self._reader = SourceReader(job.img_dir, job.ann_file, job.window)
        cv2.setNumThreads(1)  # one process a core does better than several threads each

    def __call__(self, task: Task) -> Result:
        """Seal one image.

        Raises:
            OSError: The files cannot be written, as the disk is full.
        """
        index, source, name = task
        clipping = Clipping(self._job.scheme)
        try:
            plain = self._reader.read(source)
            sealed = list(seal_image(plain.img, plain.content, source, name, self._job, clipping))
        except FileNotFoundError:
            return Result(index, [], 'there is no such file')
        except cv2.error:
            return Result(index, [], f'OpenCV cannot scale or store its {plain.img.shape[1]}x'
                                     f'{plain.img.shape[0]} pixels')
        except (OSError, ValueError, TypeError) as err:
            return Result(index, [], _reason(err, source.name, self._job))
        kept = 0
        try:
            for image, content in sealed:
                if self._resume and self._is_there(image, content):
                    kept += 1
                elif self._write:
                    write_atomic(path_within(self._places[0], image.file), content)
        except OSError as err:  # a full disk is not the image's fault: that error is raised
            if err.errno not in _FAULTS_OF_NAMES:
                raise
            return Result(index, [], f'its name cannot be given to a sealed file: {err.strerror}')
        return Result(index, [image for image, _ in sealed], None, kept,
                      look_of(plain.img, self._job), plain.remarks,
                      (clipping.ends, clipping.values))

    def _is_there(self, image: SealedImage, content: bytes) -> bool:
        """Whether the newest file of the name has the very bytes."""
        for place in self._places:
            try:
                return read_regular(path_within(place, image.file), len(content)) == content
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return False


_FAULTS_OF_NAMES = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR, errno.EISDIR,
                    errno.EEXIST)


def _reason(err: Exception, name: str, job: SealJob) -> str:
    """What is wrong with an image, without folders and names: the manifest is handed over."""
    text = ' '.join(str(getattr(err, 'strerror', None) or err).split())
    for folder in sorted({str(path) for given in (job.img_dir, job.out)
                          for path in (given, given.absolute(), given.resolve())},
                         key=len, reverse=True):
        if len(folder) > 1:
            text = text.replace(folder, '...')
    text = text.replace(name, '...').replace('.../...', '...')
    return re.sub(r"""(?<![\w.])(?:/|[A-Za-z]:\\)[^\s'",;:()]+""", '...', text)


def seal_image(img: np.ndarray, content: bytes, source: Source, name: str, job: SealJob,
               clipping: Clipping | None = None) -> Iterator[tuple[SealedImage, bytes]]:
    """The sealed files of one plain image, one a scale, and what the manifest says of them.

    Args:
        img (ndarray): uint8, (H, W, 3), BGR: the decoded ``content``.
        content (bytes): Of the plain file.
        source (Source): Its name.
        name (str): Of the sealed files, below the folder of their scale.
        job (SealJob): How to seal.
        clipping (Clipping, optional): Gets what was encrypted.

    Raises:
        ValueError: It is smaller than a patch, or would be scaled to nothing.
    """
    plain = (img.shape[1], img.shape[0])
    mac = job.plain_mac(source.name, content)
    for index, scale in enumerate(job.scales):
        scaled = _rescale(img, scale, job)
        file = f'{image_folder(job.scales, index)}/{name}'
        encrypted = job.scheme.encrypt(scaled, job.key, file, job.pad_val)
        if clipping is not None:
            clipping.look(encrypted.img)
        sealed = encode_image(encrypted.img, job.image_format)
        yield SealedImage(
            file=file, source=job.public_name(source.name), scale=index, plain=plain,
            scaled=(scaled.shape[1], scaled.shape[0]),
            size=(encrypted.img.shape[1], encrypted.img.shape[0]),
            bytes=len(sealed), sha256=hashlib.sha256(sealed).hexdigest(),
            nonce=(encrypted.nonce or b'').hex(), plain_mac=mac), sealed


def _rescale(img: np.ndarray, scale: tuple[int, int] | None, job: SealJob) -> np.ndarray:
    """To the size that the job asks for, in one step; the same array if it has that."""
    plain = img.shape[1], img.shape[0]
    size = plain if scale is None else _fit_into(plain, scale)
    if job.border == 'fit':
        size = _whole_patches(size, job.scheme.patch_size)
    return img if size == plain else cv2.resize(img, size, interpolation=cv2.INTER_LINEAR)


def _fit_into(plain: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
    """As ``mmcv.imrescale``, which MMDetection's ``Resize(keep_ratio=True)`` calls."""
    width, height = plain
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    size = int(width * float(factor) + .5), int(height * float(factor) + .5)
    if not all(size):
        raise ValueError(f'it is {width}x{height}, of which fitting into {scale[0]}x{scale[1]} '
                         f'would leave {size[0]}x{size[1]}: leave it out, or --scale larger')
    return size


def _whole_patches(size: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """The nearest size of whole patches, by which a side changes by half a patch at most."""
    padded_shape(size[::-1], patch_size)  # what is smaller than a patch is refused, not enlarged
    return tuple((side + patch_size // 2) // patch_size * patch_size for side in size)
