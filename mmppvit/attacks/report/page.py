"""The report as one page that needs nothing but itself."""
from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import cv2
import jinja2
import numpy as np

from mmppvit.attacks.report.crops import CropGroup
from mmppvit.utils.atomic import write_atomic

__all__ = ['ImageRow', 'write_page']

_WIDTH = 320  # pixels of an image on the page; wider ones are shrunk


@dataclass(frozen=True)
class ImageRow:
    """One image on the page, in all its forms.

    Args:
        name (str): Of the plain file.
        images (list): (caption, uint8 BGR image) of plain, sealed, and reconstructed ones.
        note (str): Why this image is shown; empty for one chosen at random.
    """
    name: str
    images: Sequence[tuple[str, np.ndarray]]
    note: str = ''

    @property
    def is_worst(self) -> bool:
        return bool(self.note)


def write_page(path: Path, report: Mapping, images: Sequence[ImageRow],
               crops: Sequence[CropGroup] = ()) -> None:
    """Write ``report.html``.

    Args:
        path (Path): The file.
        report (Mapping): What ``report.json`` holds, see ``tools/attack.py``.
        images (Sequence[ImageRow]): As they are to be shown.
        crops (Sequence[CropGroup]): Faces and lines of text, likewise.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=_number, data_uri=_data_uri)
    environment.tests['most'] = _is_most
    template = environment.from_string(
        resources.files('mmppvit.attacks.report').joinpath('page.html.j2').read_text('utf-8'))
    text = template.render(report=report, images=images, crops=crops)
    write_atomic(path, text.encode(errors='backslashreplace'))  # of file names that are not UTF-8


def _number(value: float | None, digits: int = 2) -> str:
    return '-' if value is None or not np.isfinite(value) else f'{value:.{digits}f}'


def _is_most(row: Mapping, report: Mapping, metric: str) -> bool:
    """Whether nothing got further, floor and ceiling aside; of equals, attackers are named."""
    mean, untouched = row['metrics'][metric]['mean'], report['as_it_is']
    best = max((other['metrics'][metric]['mean'] for other in report['rows']
                if metric in other['metrics']), default=np.inf)
    if row is untouched:
        return mean > best
    return not row['bound'] and mean >= best and mean >= untouched['metrics'].get(
        metric, {}).get('mean', mean)


def _data_uri(img: np.ndarray) -> str:
    """An image within the page, as JPEG."""
    height, width = img.shape[:2]
    if width > _WIDTH:
        img = cv2.resize(img, (_WIDTH, max(round(height * _WIDTH / width), 1)),
                         interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode('.jpg', img, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return 'data:image/jpeg;base64,' + base64.b64encode(encoded.tobytes()).decode()
