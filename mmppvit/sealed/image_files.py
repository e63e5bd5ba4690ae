"""Images and names: what is read from, and written to, folders that may hold anything."""
from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

__all__ = [
    'SUFFIXES', 'decode_image', 'encode_image', 'is_safe_name', 'path_within'
]

# That OpenCV reads.
SUFFIXES = {
    '.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.apng', '.bmp', '.dib', '.tif', '.tiff', '.webp',
    '.jp2', '.gif', '.avif', '.pbm', '.pgm', '.ppm', '.pnm', '.pxm', '.pam', '.pfm', '.sr', '.ras',
    '.hdr', '.pic', '.exr'}
_ENCODERS = {
    # Stored: encrypted pixels compress to no less than half, which would take four times as long
    # to read. The filter is an option of newer OpenCVs; the one of older ones does as well.
    'png': ('.png', [cv2.IMWRITE_PNG_COMPRESSION, 0, *(
        (cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)
        if hasattr(cv2, 'IMWRITE_PNG_FILTER') else ())]),
    'webp': ('.webp', [cv2.IMWRITE_WEBP_QUALITY, 101]),  # above 100: lossless
}


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
