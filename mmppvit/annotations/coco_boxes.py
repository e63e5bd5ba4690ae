"""Boxes, areas and crowd flags of annotations."""
from __future__ import annotations

import math

from mmppvit.annotations.findings import CheckReport, shown

__all__ = ['check_area', 'check_box', 'check_flags', 'note_place']

# COCO's AP ignores areas above (10**5)**2, and so silently every object of more.
_MOST = 1e5
# A box of less than this is a line or a point. pycocotools' IoU of two such is 0/0, which matches
# anything; and beyond 10**5 + this, float64 cannot tell its sides apart.
_LEAST = 1e-4


def is_number(value: object) -> bool:
    """Whether ``value`` is a finite int or float; True and False are none."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    return kind is int and -10**15 < value < 10**15


def check_box(item: dict, where: str, report: CheckReport) -> bool | None:
    """True if the box is good, False if it has no area, None if it was refused."""
    box = item.get('bbox')
    if not (type(box) is list and len(box) == 4 and all(map(is_number, box))):
        first = f'bbox is {shown(box)}' if 'bbox' in item else 'bbox is missing'
        report.refuse('bbox that is not four finite numbers x, y, width, height: correct or remove '
                      'the annotation', f'{where}: {first}')
        return None
    x, y, width, height = box
    if width < 0 or height < 0:
        report.refuse('bbox with a negative width or height: it is x, y, width, height, not two '
                      'corners', f'{where}: bbox is {shown(box)}')
        return None
    if max(abs(x), abs(y), width, height) > _MOST:
        report.refuse(f'bbox with a number above {_MOST:.0f} pixels, where COCO\'s AP ends',
                      f'{where}: bbox is {shown(box)}')
        return None
    if width < _LEAST or height < _LEAST:
        report.correct('annotation left out whose box has no area: nothing can match it',
                       f'{where}: bbox is {shown(box)}')
        return False
    return True


def check_area(item: dict, where: str, report: CheckReport) -> None:
    """Complete an area that is no positive number: MMDetection drops such boxes in silence."""
    area, (_, _, width, height) = item.get('area'), item['bbox']
    if is_number(area) and 0 < area <= _MOST**2:
        return
    item['area'] = width * height
    report.correct('area completed as width * height of the box',
                   f'{where}: area is {shown(area) if "area" in item else "missing"}')


def check_flags(item: dict, where: str, report: CheckReport) -> None:
    """Make ``iscrowd`` 0 or 1; refuse an ``ignore`` that is neither."""
    value = item.get('iscrowd')
    if not (type(value) is int and value in (0, 1)):
        if not _means_a_flag(value):
            report.refuse('iscrowd that is neither 0 nor 1', f'{where}: iscrowd is {shown(value)}')
            return
        crowd = value is True or value in ('1', 'true', 'True') or value == 1
        item['iscrowd'] = int(crowd)
        report.correct('iscrowd completed or made 0 or 1',
                       f'{where}: iscrowd is {shown(value) if "iscrowd" in item else "missing"}, '
                       f'now {int(crowd)}')
    ignore = item.get('ignore')
    if ignore is not None and not (type(ignore) in (int, bool, float) and ignore in (0, 1)):
        report.refuse('ignore that is neither 0 nor 1', f'{where}: ignore is {shown(ignore)}')


def _means_a_flag(value: object) -> bool:
    """Whether ``value`` is 0 or 1 written otherwise, or nothing at all."""
    if isinstance(value, str):
        return value in ('', '0', '1', 'false', 'False', 'true', 'True')
    if type(value) in (bool, float, int):
        return value in (0, 1) or value != value  # NaN
    return value is None


def note_place(box: list, image: dict, where: str, report: CheckReport) -> None:
    """Note boxes that training leaves out, or that reach out of their image."""
    x, y, width, height = box
    if x >= image['width'] or y >= image['height'] or x + width <= 0 or y + height <= 0:
        report.note('box outside of its image: training leaves it out, evaluation counts it as '
                    'missed', f'{where}: bbox is {shown(box)} in {_size(image)}')
    elif width < 1 or height < 1:
        report.note('box narrower than a pixel: training leaves it out',
                    f'{where}: bbox is {shown(box)}')
    elif x < -1 or y < -1 or x + width > image['width'] + 1 or y + height > image['height'] + 1:
        report.note('box that reaches out of its image: training clips it',
                    f'{where}: bbox is {shown(box)} in {_size(image)}')


def _size(image: dict) -> str:
    return f'{image["width"]}x{image["height"]}'
