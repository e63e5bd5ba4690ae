"""Images and names: what is read from, and written to, folders that may hold anything."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from PIL import Image

__all__ = [
    'SUFFIXES', 'check_complete', 'decode_image', 'encode_image', 'find_images',
    'is_safe_name', 'path_within'
]

SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.jp2'}
# First bytes of a format and what stands among the last ones of a whole file.
_ENDS = {b'\xff\xd8': b'\xff\xd9', b'\x89P': b'IEND'}  # JPEG, PNG
_ENCODERS = {
    # Stored: encrypted pixels compress to no less than half, which would take four times as long
    # to read. The filter is an option of newer OpenCVs; the one of older ones does as well.
    'png': ('.png', [cv2.IMWRITE_PNG_COMPRESSION, 0, *(
        (cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)
        if hasattr(cv2, 'IMWRITE_PNG_FILTER') else ())]),
    'webp': ('.webp', [cv2.IMWRITE_WEBP_QUALITY, 101]),  # above 100: lossless
}


def check_complete(path: str | Path) -> None:
    """Raise OSError for an empty file, and for a JPEG or PNG cut short.

    OpenCV answers the first with an error of its own kind, and version 4 decodes the others with
    the rest in gray or black.
    """
    if not os.path.getsize(path):
        raise OSError('it is empty')
    with open(path, 'rb') as file:
        end = _ENDS.get(file.read(2))
        if end is None:
            return
        file.seek(-min(64, os.path.getsize(path)), os.SEEK_END)
        if end in file.read():
            return
    try:
        with Image.open(path) as img:  # no end marker: slow and strict
            img.load()
    except Exception as err:  # Pillow raises whatever its decoders do, SyntaxError among it
        raise OSError(f'it is cut short or damaged: {err}') from None


def decode_image(content: bytes) -> np.ndarray:
    """uint8 (H, W, 3), BGR, turned as its EXIF says: what MMDetection's loader makes of it.

    Raises:
        OSError: It is not an image.
    """
    try:
        img = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # empty, or of more pixels than OpenCV takes
        img = None
    if img is None:
        raise OSError('it is not an image that OpenCV can read')
    return img


def encode_image(img: np.ndarray, image_format: str) -> bytes:
    """Lossless file content of a uint8 (H, W, 3) image; pixels only, no metadata."""
    suffix, options = _ENCODERS[image_format]
    done, content = cv2.imencode(suffix, img, options)
    if not done:
        raise OSError(f'OpenCV cannot write {image_format}')
    return content.tobytes()


def find_images(folder: Path) -> Iterator[str]:
    """Names of all images below ``folder``, relative, with '/', sorted."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES:
                yield (Path(parent) / name).relative_to(folder).as_posix()


def is_safe_name(name: object) -> bool:
    """Whether ``name`` is relative, has no '..' and means the same on every system."""
    if not isinstance(name, str) or not 0 < len(name) <= 1024:
        return False
    if any(ord(char) < 32 or char in '\\:' or '\ud800' <= char <= '\udfff' for char in name):
        return False  # the last are no characters: bytes that are not UTF-8 in a file's name
    path = PurePosixPath(name)
    return bool(path.name) and not path.is_absolute() and '..' not in path.parts and \
        path.as_posix() == name


def path_within(root: str | Path, name: str) -> Path:
    """``root/name``, if that lies in ``root`` also after links are followed.

    Raises:
        OSError: It does not.
    """
    # Not Path.resolve, which raises RuntimeError for links in a circle.
    if not is_safe_name(name) or not Path(os.path.realpath(Path(root) / name)).is_relative_to(
            os.path.realpath(root)):
        raise OSError(f'{name!r:.200} lies outside of {root}')
    return Path(root) / name
