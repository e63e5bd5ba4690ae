"""COCO jsons bent at random, and whether the check loses nothing without saying so.

The suite tries a few hundred; many more, over seeds that the suite does not try:

    python -m tests.annotations.fuzzing 100000
"""
from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from io import BytesIO

from mmppvit.annotations import AnnotationError, checked_coco, parse_coco
from mmppvit.annotations.json_stream import read_lists
from tests.annotations.coco_samples import ap_of_perfect_detections

VALUES = [float('nan'), float('inf'), -float('inf'), '', ' ', 'x', '1', '01', '2.0', '3', [], {},
          None, True, False, 0, 1, 2, 3, -1, -0.0, .5, 1., 2.5, 1e-5, 1e-320, 1e9, 2**53, 2**70,
          10**400, [1, 2, 3, 4], [[1, 2, 3, 4, 5, 6]], dict(size=[48, 64], counts='0'), '\ud800',
          '细胞', [None], {'id': 1}]
FIELDS = dict(
    images=('id', 'file_name', 'width', 'height', 'license'),
    annotations=('id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'segmentation',
                 'ignore', 'keypoints', 'caption'),
    categories=('id', 'name', 'supercategory'))
RENAMES = [int, str, float, '{:04d}'.format, 'x{}'.format]


def whole_json(rng: random.Random) -> dict:
    """A COCO data set without faults; boxes of one class in an image do not lie on each other."""
    images = [dict(id=k + rng.choice((0, 1, 7)) * 10, file_name=f'{k}.jpg', width=64, height=48)
              for k in range(rng.randint(1, 4))]
    categories = [dict(id=3 * k + 1, name=name) for k, name in enumerate(('cat', 'dog', 'cow'))]
    annotations = []
    for k in range(rng.randint(0, 8)):
        box = [7 * k, rng.uniform(0, 20), rng.uniform(1, 6), rng.randint(1, 20)]
        annotations.append(dict(
            id=k + rng.choice((0, 1)) * 100, image_id=rng.choice(images)['id'],
            category_id=rng.choice(categories)['id'], bbox=box, area=box[2] * box[3],
            iscrowd=int(rng.random() < .1)))
    return dict(images=images, annotations=annotations, categories=categories, info={})


def bend(data: dict, rng: random.Random) -> None:
    """Change one thing."""
    kind = rng.choice(list(FIELDS))
    items, key = data.get(kind), rng.choice(FIELDS[kind])
    way = rng.randrange(9)
    if way == 0 and rng.random() < .1:
        data[rng.choice([*FIELDS, 'info', 'x'])] = rng.choice(VALUES)
    elif way == 1 and rng.random() < .2:
        data.pop(rng.choice([*FIELDS, 'info']), None)
    elif not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return
    elif way == 2 and rng.random() < .3:
        items.append(rng.choice(VALUES))
    elif way == 3 and items:
        items.append(dict(rng.choice(items), **rng.choice([{}, {'id': rng.randint(0, 300)}])))
    elif way == 4 and items:
        items.remove(rng.choice(items))
    elif way == 5:
        _rename(data, rng)
    elif items:
        _bend_field(rng.choice(items), key, rng)


def _rename(data: dict, rng: random.Random) -> None:
    """Write all ids of one field as another type."""
    kind, key = rng.choice([('images', 'id'), ('annotations', 'image_id'), ('categories', 'id'),
                            ('annotations', 'category_id'), ('annotations', 'id')])
    written = rng.choice(RENAMES)
    for item in data.get(kind) if isinstance(data.get(kind), list) else []:
        if isinstance(item, dict) and type(item.get(key)) is int and item[key] < 2**70:
            item[key] = written(item[key])


def _bend_field(item: dict, key: str, rng: random.Random) -> None:
    if rng.random() < .2:
        item.pop(key, None)
    elif key == 'bbox' and isinstance(item.get('bbox'), list) and item['bbox']:
        box = item['bbox'] = list(item['bbox'])
        box[rng.randrange(len(box))] = rng.choice([*VALUES, 0, 1, 70, -5, .3, 1e5, 3e5])
    else:
        item[key] = rng.choice(VALUES)


def check_one(seed: int) -> str:
    """Bend a json and check it: 'refused' or 'taken'.

    Raises:
        AssertionError: An annotation was lost in silence, or pycocotools gives another AP than 1.
    """
    rng = random.Random(seed)
    data = whole_json(rng)
    for _ in range(rng.randint(0, 3)):
        bend(data, rng)
    content = json.dumps(data)
    try:
        kept, report = parse_coco(content.encode(), 'fuzzed.json')
    except AnnotationError as err:
        error = str(err)
    else:
        streamed, its_report = checked_coco(read_lists(BytesIO(content.encode()), (
            'images', 'annotations')), 'fuzzed.json')
        assert its_report == report, content
        assert json.dumps([*streamed['annotations']]) == json.dumps(kept['annotations']), content
        assert json.dumps([*streamed['images']]) == json.dumps(kept['images']), content
        _check_nothing_lost(data, kept, report, content)
        if kept['annotations']:
            _check_ap(kept, content)
        return 'taken'
    assert error.startswith('fuzzed.json '), content
    assert '\n' not in error, content
    return 'refused'


def _check_nothing_lost(data: dict, kept: dict, report, content: str) -> None:
    said = sum(finding.count for finding in report.of('corrected')
               if finding.what.startswith('annotation left out'))
    given = len(data.get('annotations', []))
    # One that has two faults is said twice.
    assert given - said <= len(kept['annotations']) <= given, content
    assert len(kept['annotations']) == given or said, content
    assert len(kept['images']) == len(data['images']), content
    before = {json.dumps(item.get('bbox')) for item in data.get('annotations', [])}
    assert {json.dumps(item['bbox']) for item in kept['annotations']} <= before, content
    names = {item['name'] for item in data.get('categories', [])}
    assert {item['name'] for item in kept['categories']} == names, content


def _check_ap(kept: dict, content: str) -> None:
    """Every category with boxes that are no crowd has an AP of 1, others have none."""
    in_use = Counter(item['category_id'] for item in kept['annotations'] if not item['iscrowd'])
    expected = {item['id']: 1. if in_use[item['id']] else -1. for item in kept['categories']}
    found = ap_of_perfect_detections(kept)
    assert found == expected, (found, expected, content)


def main() -> None:
    count, start, results = int(sys.argv[1]), time.time(), Counter()
    for seed in range(1_000_000, 1_000_000 + count):
        results[check_one(seed)] += 1
        if not (seed + 1) % 10_000:
            print(seed + 1 - 1_000_000, flush=True)
    print(f'{count} jsons in {time.time() - start:.0f} s: ' + ', '.join(
        f'{number} {what}' for what, number in sorted(results.items())))


if __name__ == '__main__':
    main()
