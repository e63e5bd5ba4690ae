"""The one reader of plain images, for sealing, detectors and classifiers.

What OpenCV, and so MMDetection, makes of a file is what everyone gets. What OpenCV takes in silence
though pixels are lost is refused in words: files cut short or damaged, more than 8 bits that fill
few of the levels.
"""
from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmppvit.sealed.image_files import SUFFIXES, check_declared_size, decode_image
from mmppvit.sealed.jpeg_warnings import jpeg_remark, with_end
from mmppvit.utils.regular_files import read_regular

__all__ = ['PlainImage', 'check_readable', 'list_folder', 'read_plain']

# Images that OpenCV cannot read, by suffix; others have no suffix of an image.
_FOREIGN = {'.heic', '.heif', '.dcm', '.dicom', '.jxl', '.svg', '.psd', '.cr2', '.cr3', '.nef',
            '.arw', '.dng', '.raw', '.nii', '.mha', '.ico', '.tga', '.pcx', '.xcf', '.djvu'}
_EIGHT_BITS = (b'\xff\xd8', b'RIFF', b'BM', b'GIF8')  # first bytes of formats that have no more
_PNG = b'\x89PNG\r\n\x1a\n'
_PNG_DEPTH = 24  # place of the bit depth
_LEVELS = 2**16
_HALF = 2**15


@dataclass(frozen=True)
class PlainImage:
    """An image as OpenCV reads it: uint8 (H, W, 3), BGR, after its EXIF turn.

    Args:
        img (ndarray): The pixels.
        content (bytes): The file.
        remarks (tuple[str]): What was taken though it is not as usual.
    """
    img: np.ndarray
    content: bytes
    remarks: tuple[str, ...] = ()


def read_plain(path: str | Path, window: tuple[float, float] | None = None) -> PlainImage:
    """Read a whole image.

    Args:
        path (str | Path): The file.
        window (tuple, optional): (lo, hi): of images of more than 8 bits, the values that become 0
            and 255; those in between are spread evenly, those beyond are clipped.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: It is not an image, cut short or damaged, or its values need a window.
    """
    content = read_regular(path)
    remarks = _check_content(content, str(path))
    deep = _deep_pixels(content)
    if deep is None:
        return PlainImage(decode_image(with_end(content)), content, remarks)
    if window is not None:
        lo, hi = window
        levels = np.clip(np.rint((deep.astype(np.float64) - lo) * (255 / (hi - lo))), 0, 255)
        return PlainImage(levels.astype(np.uint8), content, remarks)
    _check_range(deep)
    return PlainImage(decode_image(content), content, (
        *remarks, f'its 16 bits were made 8 by leaving out the lower ones ({_range(deep)})'))


def check_readable(path: str | Path) -> None:
    """Raise the OSError of :func:`read_plain` for what OpenCV would decode in silence."""
    content = read_regular(path)
    _check_content(content, str(path))
    deep = _deep_pixels(content)
    if deep is not None:
        _check_range(deep)


def _check_content(content: bytes, name: str) -> tuple[str, ...]:
    if not content:
        raise OSError('it is empty')
    check_declared_size(content)
    if content[:2] == b'\xff\xd8':
        remark = jpeg_remark(content)
        return (remark, ) if remark else ()
    if content.startswith(_PNG):
        if b'IEND' not in content[-64:]:
            _decode_to_the_end(content)
        return ()
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _FOREIGN:
        raise OSError(f'OpenCV cannot read {suffix}: convert it to PNG')
    return ()


def _decode_to_the_end(content: bytes) -> None:
    """Raise OSError if a decoder that does not fill up what is missing ends early."""
    try:
        with Image.open(io.BytesIO(content)) as img:
            img.load()
    except UnidentifiedImageError:
        raise OSError('it is cut short or damaged: its header is not whole') from None
    except Exception as err:  # Pillow raises whatever its decoders do, SyntaxError among it
        raise OSError(f'it is cut short or damaged: {err}') from None


def _deep_pixels(content: bytes) -> np.ndarray | None:
    """Pixels of an image of more than 8 bits, BGR; None for others, and where it is no image.

    Raises:
        OSError: There is a NaN or an infinity among them.
    """
    if content.startswith(_EIGHT_BITS) or (
            content.startswith(_PNG) and content[_PNG_DEPTH:_PNG_DEPTH + 1] != b'\x10'):
        return None
    deep = _decode(content, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    if deep is None:  # OpenCV makes no color of gray float32
        deep = _decode(content, cv2.IMREAD_UNCHANGED)
    if deep is None or deep.dtype == np.uint8:
        return None
    if not np.isfinite(deep).all():
        raise OSError('it has values that are not finite numbers')
    return deep[..., :3] if deep.ndim == 3 else np.repeat(deep[..., None], 3, 2)


def _decode(content: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None


def _check_range(deep: np.ndarray) -> None:
    """OpenCV keeps the upper 8 of 16 bits; values that use few of them become few levels."""
    if deep.dtype == np.uint16 and int(deep.max()) - int(deep.min()) >= _HALF:
        return
    kind = '16-bit values' if deep.dtype == np.uint16 else f'{deep.dtype} values'
    left = f' of {_LEVELS}, which would become {np.unique(deep >> 8).size} levels' \
        if deep.dtype == np.uint16 else ''
    raise OSError(f'it has {kind} {_range(deep)}{left}: say which values are black and white with '
                  f'--window LO HI, e.g. --window {_example(deep)}, or convert it to 8 bits')


def _range(deep: np.ndarray) -> str:
    return f'from {deep.min():g} to {deep.max():g}'


def _example(deep: np.ndarray) -> str:
    lo, hi = float(deep.min()), float(deep.max())
    return f'{lo:g} {hi if hi > lo else lo + 1:g}'


def list_folder(folder: str | Path) -> tuple[list[str], list[str]]:
    """Names of all images below a folder, and of all other files, relative, with '/', sorted.

    Links are followed. Images are files that OpenCV can read, those that cameras and scanners write
    and OpenCV cannot read, and whatever has the suffix of an image.
    """
    images, others = [], []
    for name in _files(Path(folder)):
        suffix = PurePosixPath(name).suffix.lower()
        is_image = suffix in SUFFIXES or suffix in _FOREIGN
        if PurePosixPath(name).name.startswith('._') or not is_image:  # ._a.jpg: written by macOS
            is_image = _has_reader(Path(folder) / name)
        (images if is_image else others).append(name)
    return sorted(images), sorted(others)


def _has_reader(path: Path) -> bool:
    try:
        return path.is_file() and cv2.haveImageReader(str(path))
    except (cv2.error, OSError):
        return False


def _files(folder: Path) -> Iterator[str]:
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link to a folder above, or two to one
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in files:
            yield (Path(parent) / name).relative_to(folder).as_posix()
