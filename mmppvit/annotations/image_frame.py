"""Does the size in a json belong to the image as it is shown, or as it is stored?

Cameras store images as the sensor lies and note how to turn them (EXIF orientation 1 to 8).
OpenCV and most tools show them turned; Pillow and some converters do not. Boxes of one frame do
not fit the other, and where a turn keeps the size, only the other images of the json tell which it
is.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from PIL import Image

__all__ = ['Frame', 'JsonFrame', 'read_frame']

_ORIENTATION = 0x112
_TURNED = ('JPEG', 'MPO', 'PNG', 'WEBP')  # that OpenCV turns


@dataclass(frozen=True)
class Frame:
    """Size (w, h) of the stored pixels, and the EXIF orientation, 1 if there is none."""
    stored: tuple[int, int]
    orientation: int = 1

    @property
    def shown(self) -> tuple[int, int]:
        """Size (w, h) after the turn."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored


def read_frame(file: str | Path | BinaryIO) -> Frame | None:
    """The frame of an image, from its header; None if Pillow cannot tell."""
    try:
        with Image.open(file) as img:
            if img.format not in _TURNED:
                return Frame(img.size)
            orientation = img.getexif().get(_ORIENTATION, 1)
            return Frame(img.size, orientation if orientation in range(1, 9) else 1)
    except Exception:  # Pillow raises whatever its decoders do; that a file is bad is found later
        return None


class JsonFrame:
    """The frame that the sizes of one json belong to.

    Args:
        images (Callable): Gives (path, (w, h) of the json) of all images. It is asked at the first
            image whose own size does not tell.
    """

    def __init__(self, images: Callable[[], Iterable[tuple[str | Path, tuple[int, int]]]]) -> None:
        self._images = images

    @cached_property
    def votes(self) -> tuple[int, int]:
        """Number of images whose size is that of the shown frame alone, and of the stored one."""
        shown = stored = 0
        for path, size in self._images():
            frame = read_frame(path) if os.path.isfile(path) else None
            if frame is not None and frame.shown != frame.stored:
                shown += size == frame.shown
                stored += size == frame.stored
        return shown, stored

    def problem(self, size: tuple[int, int], frame: Frame | None,
                shown: tuple[int, int] | None = None) -> str | None:
        """Why the boxes of the json do not fit an image.

        Args:
            size (tuple): (w, h) that the json gives.
            frame (Frame, optional): Of the file, if Pillow could tell.
            shown (tuple, optional): (w, h) as it was decoded, if it was.

        Returns:
            str | None: None if they fit, or nothing is known.
        """
        if frame is None or (shown is not None and shown != frame.shown):
            frame = shown and Frame(shown)  # what was decoded counts
        if frame is None:
            return None
        by_hand = ('let the file store its pixels as they are shown (mogrify -auto-orient) if the '
                   'boxes fit those, else take the turn out of it (exiftool -Orientation=1 -n)')
        turn = f'its EXIF orientation {frame.orientation}'
        if size != frame.shown:
            if size == frame.stored:
                return (f'{turn} turns it to {_text(frame.shown)} and its json says {_text(size)}, '
                        f'the size before the turn, so its boxes do not fit: {by_hand}')
            return (f'it is {_text(frame.shown)} (after its EXIF turn, if it has one) and its json '
                    f'says {_text(size)}, so its boxes do not fit: correct the json or the file')
        if frame.orientation == 1 or frame.shown != frame.stored:
            return None
        by_shown, stored = self.votes
        if by_shown and not stored:
            return None
        why = f'the json has the sizes before the turn of {stored} other images' if stored else \
            'no other image of the json tells whether its boxes were drawn before or after the turn'
        return (f'{turn} turns it but keeps its size, and {why}, so its boxes may not fit: '
                f'{by_hand}')


def _text(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'
