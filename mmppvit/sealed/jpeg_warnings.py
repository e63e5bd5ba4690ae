"""What the JPEG decoder warns about: the difference between a scratch and a lost image.

OpenCV decodes a damaged JPEG without an error, with gray or wrong pixels for the rest.
"""
from __future__ import annotations

import re

import simplejpeg

__all__ = ['NO_END', 'jpeg_remark', 'with_end']

NO_END = 'it lacks its end marker; all pixels are there'
_START, _END = b'\xff\xd8', b'\xff\xd9'
_DAMAGE = re.compile('corrupt|premature|invalid|bogus|bad', re.IGNORECASE)
# Bytes that do not belong there, after all of the pixels.
_HARMLESS = re.compile('extraneous bytes before marker 0xd9', re.IGNORECASE)


def jpeg_remark(content: bytes) -> str | None:
    """What is unusual about a JPEG whose pixels are all there; None for most.

    Raises:
        OSError: Pixels are missing or wrong.
    """
    warning = _warning(content)
    if warning is None or _HARMLESS.search(warning):
        return warning and f'the decoder warned ("{warning}") after the last pixel'
    if with_end(content) is not content:
        return NO_END
    raise OSError(f'it is cut short or damaged: {warning}')


def with_end(content: bytes) -> bytes:
    """A JPEG that lacks nothing but its end marker with one, which OpenCV 5 asks for; other files
    as they are."""
    if content[:2] != _START or _END in content[-64:] or _warning(content + _END) is not None:
        return content
    return content + _END


def _warning(content: bytes) -> str | None:
    """What libjpeg-turbo warns about; it decodes everything, at an eighth of the size."""
    try:
        simplejpeg.decode_jpeg(content, 'GRAY', fastdct=True, min_height=1, min_width=1,
                               min_factor=8)
    except ValueError as err:  # also for kinds of JPEG that it does not know; OpenCV may
        text = ' '.join(str(err).split())
        return text if _DAMAGE.search(text) else None
    return None
