"""The check of a COCO data set: everything that is wrong with it, at once."""
from __future__ import annotations

from collections.abc import Iterable

from mmppvit.annotations.coco_boxes import check_area, check_box, check_flags, note_place
from mmppvit.annotations.coco_ids import Lookup, check_ids, whole_number
from mmppvit.annotations.coco_masks import check_keypoints, check_segmentation
from mmppvit.annotations.findings import CheckReport, shown
from mmppvit.annotations.json_stream import PackedItems, editing, repeated

__all__ = ['check_coco']

_Items = list[dict] | PackedItems

_MOST_PIXELS = 2**20  # a side: what OpenCV reads


def check_coco(data: object, name: str) -> tuple[dict, CheckReport]:
    """Check a COCO data set, and correct what is safe to correct.

    The result can be handed to MMDetection and pycocotools: every annotation that the report does
    not name is in it, and a detector that finds all boxes has an AP of 1.

    Args:
        data (object): What the json holds; it is changed in place. Images and annotations may be
            :class:`PackedItems`, and are so in the result.
        name (str): Its file, for messages.

    Returns:
        tuple: The corrected data set, which must not be used if the report says ``refused``, and
        the report. It has ``info``, which pycocotools 2.0.9 and 2.0.10 need, and ``annotations``.
    """
    report = CheckReport(name)
    if not isinstance(data, dict):
        report.refuse('file that is not a COCO annotation file: a json object with images, '
                      'annotations and categories', f'it holds a {type(data).__name__}')
        return {}, report
    lists = {key: _items(data, key, report) for key in ('images', 'annotations', 'categories')}
    if not isinstance(data.get('info'), dict):
        data['info'] = {}
    report.counts = {key: len(items) for key, items in lists.items()}
    if not lists['images'] and not report.refused:
        report.refuse('file that lists no images', 'images is []')
    if lists['annotations'] and not lists['categories'] and not report.refused:
        report.refuse('file with annotations and no categories', 'categories is missing or []')
    if report.refused:
        return data, report
    data.update(lists)
    _check_images(data['images'], report)
    _check_categories(data['categories'], report)
    check_ids(data['annotations'], 'annotation', report, names=False)
    _check_annotations(data, report)
    return data, report


def _items(data: dict, key: str, report: CheckReport) -> _Items:
    """The list ``key``, without what is no object; images have to be there."""
    if key not in data and key != 'images':
        return []
    items = data.get(key)
    if not isinstance(items, (list, PackedItems)):
        report.refuse('file that is not a COCO annotation file: it needs lists of images, '
                      'annotations and categories',
                      f'{key} is {shown(items) if key in data else "missing"}')
        return []
    others = 0
    for place, item in enumerate(items):
        if not isinstance(item, dict):
            others += 1
            report.refuse(f'entry of {key} that is not an object',
                          f'{key} number {place + 1} is {shown(item)}')
    return [item for item in items if isinstance(item, dict)] if others else items


def _check_images(images: _Items, report: CheckReport) -> None:
    check_ids(images, 'image', report)
    for image in editing(images):
        where = f'image {shown(image.get("id"))}'
        name = image.get('file_name')
        if not (isinstance(name, str) and name.strip()):
            first = f'file_name is {shown(name)}' if 'file_name' in image else \
                'file_name is missing'
            report.refuse('image without a file_name', f'{where}: {first}')
        for key in ('width', 'height'):
            _check_side(image, key, where, report)
    for name, count in repeated(lambda: (image['file_name'] for image in images if isinstance(
            image.get('file_name'), str))).items():
        report.note('file that is listed more than once', f'{shown(name)} is listed {count} times')


def _check_side(image: dict, key: str, where: str, report: CheckReport) -> None:
    value = image.get(key)
    number = whole_number(value)
    if number is None or not 0 < number <= _MOST_PIXELS:
        first = f'{key} is {shown(value)}' if key in image else f'{key} is missing'
        report.refuse(f'image whose {key} is not a whole number of pixels: write the size of the '
                      'image as it is shown, after its EXIF turn', f'{where}: {first}')
    elif type(value) is not int:
        image[key] = number
        report.correct(f'{key} written as a float, made an int',
                       f'{where}: {key} is {shown(value)}')


def _check_categories(categories: list[dict], report: CheckReport) -> None:
    check_ids(categories, 'category', report)
    for item in categories:
        if not (isinstance(item.get('name'), str) and item['name'].strip()):
            first = f'name is {shown(item.get("name"))}' if 'name' in item else 'name is missing'
            report.refuse('category without a name', f'category {shown(item.get("id"))}: {first}')
            item['name'] = ''


def _check_annotations(data: dict, report: CheckReport) -> None:
    sizes = _sizes(data['images'])
    lookups = Lookup(sizes), Lookup(
        item['id'] for item in data['categories'] if item.get('id') is not None)
    kept: _Items = type(data['annotations'])()
    for place, item in enumerate(data['annotations']):
        value = item.get('id')
        where = f'annotation number {place + 1}' if value is None else f'annotation {value}'
        image_id = _reference(item, 'image_id', 'image', lookups[0], where, report)
        category_id = _reference(item, 'category_id', 'category', lookups[1], where, report)
        good = check_box(item, where, report)
        if good is not None:
            check_flags(item, where, report)
        if image_id is None or category_id is None or not good:
            continue
        item.update(image_id=image_id, category_id=category_id)
        check_area(item, where, report)
        _check_content(item, sizes[image_id], where, report)
        kept.append(item)
    if not report.refused:
        _check_whole(data['annotations'], kept, report)
        _renumber_zero_id(kept, report)
        _drop_unused_twins(data, kept, report)
    data['annotations'] = kept


def _sizes(images: _Items) -> dict[int | str, dict | None]:
    """Width and height by id; None where they are none, which is refused already."""
    known: dict[tuple[int, int], dict] = {}  # most images have one of a few sizes
    sizes = {}
    for image in images:
        if image.get('id') is not None:
            size = image.get('width'), image.get('height')
            good = all(type(side) is int for side in size)
            sizes[image['id']] = known.setdefault(
                size, dict(width=size[0], height=size[1])) if good else None
    return sizes


def _reference(item: dict, key: str, kind: str, lookup: Lookup, where: str, report: CheckReport
               ) -> int | str | None:
    value = item.get(key)
    found = lookup.find(value)
    if found is None:
        first = f'{where}: {key} is {shown(value) if key in item else "missing"}'
        if lookup.is_of_their_type(value):
            report.correct(f'annotation left out whose {key} is not the id of any {kind}', first)
        else:
            report.refuse(f'{key} that is not the id of any {kind}, nor can be matched with one: '
                          f'write it as the ids of {key.partition("_")[0]} entries are written',
                          first)
    elif type(found) is not type(value) or found != value:
        report.correct(f'{key} matched with the id of the {kind}, which is written otherwise',
                       f'{where}: {key} is {shown(value)}, the id is {shown(found)}')
    return found


def _check_content(item: dict, size: dict | None, where: str, report: CheckReport) -> None:
    if size is None:
        return
    note_place(item['bbox'], size, where, report)
    check_segmentation(item, size, where, report)
    check_keypoints(item, where, report)


def _check_whole(given: _Items, kept: _Items, report: CheckReport) -> None:
    """Faults that no single annotation shows."""
    if given and not kept:
        report.refuse('file of which no annotation is left',
                      f'all {len(given)} annotations had to be left out')
    elif kept and all(item['iscrowd'] for item in kept):
        report.refuse('file whose annotations are all crowd: training and evaluation ignore those, '
                      'so set iscrowd to 0', f'all {len(kept)} annotations have iscrowd 1')
    elif kept and all(item['iscrowd'] or item.get('ignore') for item in kept):
        report.refuse('file whose annotations are all to be ignored: set ignore to 0',
                      f'all {len(kept)} annotations have ignore or iscrowd 1')
    elif kept and _are_shares(item['bbox'] for item in kept):
        first = next(iter(kept))
        report.refuse('file whose boxes are shares of the image: multiply them with its width and '
                      'height', f'annotation {first["id"]}: bbox is {shown(first["bbox"])}')
    for item in kept:
        if item.get('ignore') and not item['iscrowd']:
            report.note('annotation with ignore 1: training leaves it out, evaluation does not',
                        f'annotation {item["id"]}')


def _are_shares(boxes: Iterable[list]) -> bool:
    fractions = False
    for x, y, width, height in boxes:
        if x < 0 or y < 0 or x + width > 1.001 or y + height > 1.001:
            return False
        fractions = fractions or any(value % 1 for value in (x, y, width, height))
    return fractions


def _renumber_zero_id(kept: _Items, report: CheckReport) -> None:
    """pycocotools takes a match with id 0 for none, and so lowers the AP."""
    highest = max((item['id'] for item in kept), default=0)
    for item in editing(kept):
        if item['id'] == 0:
            item['id'] = max(1, highest + 1)
            report.correct('annotation id 0, which pycocotools takes for none, numbered anew',
                           f'annotation 0 is now {item["id"]}')


def _drop_unused_twins(data: dict, kept: _Items, report: CheckReport) -> None:
    """Of categories of one name, leave those out that no annotation has; refuse two in use."""
    used = {item['category_id'] for item in kept}
    by_name: dict[str, list[dict]] = {}
    for item in data['categories']:
        by_name.setdefault(item['name'], []).append(item)
    dropped = []
    for name, items in by_name.items():
        in_use = [item for item in items if item['id'] in used] or items[:1]
        if len(in_use) > 1:
            report.refuse('name of two categories that both have annotations: give one of them '
                          'another name, or its annotations the id of the other',
                          f'{shown(name)} has the ids {shown([item["id"] for item in in_use])}')
        elif len(items) > 1:
            dropped += [item for item in items if item is not in_use[0]]
            report.correct('category left out that has no annotations and the name of another',
                           f'{shown(name)} has the ids {shown([item["id"] for item in items])}')
    data['categories'] = [item for item in data['categories']
                          if not any(item is other for other in dropped)]
