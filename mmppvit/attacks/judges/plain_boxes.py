"""Boxes of plain images, from one COCO json or several."""
from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath

from pycocotools.coco import COCO

from mmppvit.annotations import read_coco
from mmppvit.annotations.image_names import one_spelling
from mmppvit.sealed import Manifest

__all__ = ['image_ids', 'read_plain_boxes', 'victim_boxes']


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


def image_ids(truth: COCO, names: Sequence[str]) -> dict[str, int]:
    """Ids of the json by name, in the order of ``names``.

    Names are compared whole, then in one spelling, without suffixes, and without folders.

    Raises:
        ValueError: An image is not in the json, or two are the same one.
    """
    found: dict[str, int] = {}
    for part in (str, one_spelling, _without_ending, _without_folders):
        ids: dict[str, set[int]] = {}
        for index, item in truth.imgs.items():
            ids.setdefault(part(item['file_name']), set()).add(index)
        for name in names:
            if name not in found and len(ids.get(part(name), ())) == 1:
                found[name] = next(iter(ids[part(name)]))
    unknown = [name for name in names if name not in found]
    if unknown:
        known = sorted(item['file_name'] for item in truth.imgs.values())
        raise ValueError(f'{len(unknown)} of {len(names)} images are not in the json, e.g. '
                         f'{unknown[:3]}; it names {known[:3]}')
    if len(set(found.values())) < len(names):
        raise ValueError(f'two of {names[:3]} ... are the same image of the json')
    return {name: found[name] for name in names}


def _without_ending(name: str) -> str:
    path = PurePath(one_spelling(name))
    return (path.parent / path.stem).as_posix()


def _without_folders(name: str) -> str:
    return PurePath(one_spelling(name)).stem


def victim_boxes(truth: COCO, sealed: str | Path, scale: int, names: Sequence[str],
                 categories: Collection[int]) -> list[list[tuple[float, float, float, float]]]:
    """Boxes of victims in the frame of the plain image at a sealed scale.

    Args:
        truth (COCO): From :func:`read_plain_boxes`.
        sealed (str | Path): The sealed data set, whose manifest knows the sizes.
        scale (int): Index of its scales.
        names (Sequence[str]): Of the victims' plain files.
        categories (Collection[int]): Ids of those that are wanted.

    Returns:
        list[list[tuple]]: For each victim, x1, y1, x2 and y2 of each box; crowds are left out.

    Raises:
        ValueError: As :func:`image_ids`.
    """
    images = {image.source: image for image in Manifest.load(sealed).images
              if image.scale == scale}
    boxes = []
    for name, index in image_ids(truth, names).items():
        ratio = [after / before for after, before in
                 zip(images[name].scaled, images[name].plain, strict=True)]
        boxes.append([(x * ratio[0], y * ratio[1], (x + w) * ratio[0], (y + h) * ratio[1])
                      for x, y, w, h in (item['bbox'] for item in truth.imgToAnns[index]
                                         if item['category_id'] in categories
                                         and not item['iscrowd'])])
    return boxes
