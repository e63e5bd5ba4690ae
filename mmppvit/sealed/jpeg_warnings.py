"""What the JPEG decoder warns about: the difference between a scratch and a lost image.

OpenCV decodes a damaged JPEG without an error, with gray or wrong pixels for the rest.
"""
from __future__ import annotations

import re

import simplejpeg

__all__ = ['JPEG_END', 'NO_END', 'jpeg_remark']

NO_END = 'it lacks its end marker; all pixels are there'
JPEG_END = b'\xff\xd9'
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
    if JPEG_END not in content[-64:] and _warning(content + JPEG_END) is None:
        return NO_END
    raise OSError(f'it is cut short or damaged: {warning}')


def _warning(content: bytes) -> str | None:
    """What libjpeg-turbo warns about; it decodes everything, at an eighth of the size."""
    try:
        simplejpeg.decode_jpeg(content, 'GRAY', fastdct=True, min_height=1, min_width=1,
                               min_factor=8)
    except ValueError as err:  # also for kinds of JPEG that it does not know; OpenCV may
        text = ' '.join(str(err).split())
        return text if _DAMAGE.search(text) else None
    return None
