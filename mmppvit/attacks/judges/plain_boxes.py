"""Boxes of plain images, from one COCO json or several."""
from __future__ import annotations

import contextlib
import io
from pathlib import Path

from pycocotools.coco import COCO

from mmppvit.annotations import read_coco

__all__ = ['read_plain_boxes']


def read_plain_boxes(*paths: str | Path) -> COCO:
    """Annotations of COCO jsons, put together as if they were one.

    They are checked and corrected by :func:`mmppvit.annotations.check_coco`.

    Args:
        paths (str | Path): Of one data set, e.g. its splits. Categories are told by name.

    Raises:
        AnnotationError: One cannot be used.
        ValueError: An image is in two of them.
        FileNotFoundError: One cannot be read.
    """
    merged = dict(info={}, images=[], annotations=[], categories=[])
    for path in paths:
        _append(merged, read_coco(path)[0])
    names = [item['file_name'] for item in merged['images']]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'{twice} is twice in {", ".join(str(path) for path in paths)}')
    truth = COCO()
    truth.dataset = merged
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        truth.createIndex()
    return truth


def _append(merged: dict, data: dict) -> None:
    """Add ``data`` to ``merged``, whose ids are counted anew."""
    known = {item['name']: item['id'] for item in merged['categories']}
    categories, images = {}, {}
    for item in data['categories']:
        if item['name'] not in known:
            known[item['name']] = len(known) + 1
            merged['categories'].append(dict(id=known[item['name']], name=item['name']))
        categories[item['id']] = known[item['name']]
    for item in data['images']:
        images[item['id']] = len(merged['images']) + 1
        merged['images'].append(dict(id=images[item['id']], file_name=item['file_name'],
                                     width=item['width'], height=item['height']))
    for item in data['annotations']:
        merged['annotations'].append(dict(
            id=len(merged['annotations']) + 1, image_id=images[item['image_id']],
            category_id=categories[item['category_id']], bbox=item['bbox'],
            area=item['area'], iscrowd=item['iscrowd']))
