"""Images and names: what is read from, and written to, folders that may hold anything."""
from __future__ import annotations

import io
import os
import struct
import warnings
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from mmppvit.utils.remote_files import RemotePath

__all__ = [
    'SUFFIXES',
    'check_declared_size',
    'declared_size',
    'decode_image',
    'encode_image',
    'is_safe_name',
    'path_within'
]

_PNG, _RIFF, _JPEG = b'\x89PNG\r\n\x1a\n', b'RIFF', b'\xff\xd8'
# A megabyte may claim 900 million pixels, which take 2.7 GB. Photos and scans have less than 16 for
# each byte.
_MAX_PIXELS, _PIXELS_PER_BYTE = 2**26, 16

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


def declared_size(content: bytes) -> tuple[int, int] | None:
    """(width, height) that the header of a PNG or lossless WebP says, without decoding it."""
    if content[:8] == _PNG and content[12:16] == b'IHDR' and len(content) >= 33:
        return struct.unpack_from('>II', content, 16)
    if content[:4] == _RIFF and content[8:16] == b'WEBPVP8L' and len(content) >= 25:
        bits = int.from_bytes(content[21:25], 'little')
        return (bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1
    return None


def check_declared_size(content: bytes) -> None:
    """Refuse a small file that claims to be a huge image, before it is decoded.

    Raises:
        OSError: It says that it has more than 2**26 pixels and more than 16 for each of its bytes.
    """
    if len(content) * _PIXELS_PER_BYTE >= 2**30:  # OpenCV decodes no more
        return
    pixels = _declared_pixels(content)
    if pixels > max(_MAX_PIXELS, _PIXELS_PER_BYTE * len(content)):
        raise OSError(f'it claims {pixels} pixels in {len(content)} bytes: if that is what it is, '
                      'crop or rescale it')


def _declared_pixels(content: bytes) -> int:
    """What the header says; 0 if Pillow does not know it, a lower bound where it gives up."""
    size = declared_size(content)
    if size is not None:
        return size[0] * size[1]
    try:
        if content[:2] == _JPEG:
            height, width = simplejpeg.decode_jpeg_header(content)[:2]
            return width * height
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as img:
                return img.width * img.height
    except Image.DecompressionBombError:
        return 2 * (Image.MAX_IMAGE_PIXELS or 0)
    except Exception:  # Pillow raises whatever its decoders do; that a file is bad is found later
        return 0


def decode_image(content: bytes) -> np.ndarray:
    """uint8 (H, W, 3), BGR, turned as its EXIF says: what MMDetection's loader makes of it.

    Raises:
        OSError: It is not an image, or one that is too large for its file.
    """
    check_declared_size(content)
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


def path_within(root: str | Path | RemotePath, name: str) -> Path | RemotePath:
    """``root/name``, if that lies in ``root`` also after links are followed.

    Raises:
        OSError: It does not.
    """
    if isinstance(root, RemotePath) and is_safe_name(name):  # a store has no links
        return root / name
    # Not Path.resolve, which raises RuntimeError for links in a circle.
    if not is_safe_name(name) or not Path(os.path.realpath(Path(root) / name)).is_relative_to(
            os.path.realpath(root)):
        raise OSError(f'{name!r:.200} lies outside of {root}')
    return Path(root) / name
