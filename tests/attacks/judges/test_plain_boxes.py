"""``mmppvit.attacks.judges.plain_boxes``: boxes of several jsons as of one."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmppvit.annotations import AnnotationError
from mmppvit.attacks.judges.plain_boxes import read_plain_boxes


def _write(path: Path, names: list[str], categories: list[tuple[int, str]]) -> Path:
    """One box of each category in each image, without the fields that few tools need."""
    images = [dict(id=i, file_name=name, width=9, height=8) for i, name in enumerate(names)]
    boxes = [dict(id=i * 10 + index, image_id=i, category_id=index, bbox=[1, 2, 3, 4])
             for i in range(len(names)) for index, _ in categories]
    path.write_text(json.dumps(dict(images=images, annotations=boxes, categories=[
        dict(id=index, name=name) for index, name in categories])))
    return path


def test_categories_are_told_by_name(tmp_path):
    truth = read_plain_boxes(
        _write(tmp_path / 'a.json', ['1.png', '2.png'], [(0, 'cat'), (7, 'dog')]),
       _write(tmp_path / 'b.json', ['3.png'], [(0, 'dog'), (1, 'cow')]))
    names = {index: item['name'] for index, item in truth.cats.items()}
    assert sorted(names.values()) == ['cat', 'cow', 'dog']
    found = {item['file_name']: sorted(names[box['category_id']] for box in truth.imgToAnns[index])
             for index, item in truth.imgs.items()}
    assert found == {'1.png': ['cat', 'dog'], '2.png': ['cat', 'dog'], '3.png': ['cow', 'dog']}
    assert len(truth.anns) == 6
    assert {(box['area'], box['iscrowd']) for box in truth.anns.values()} == {(12, 0)}


def test_of_real_images(bccd):
    folder = bccd / 'annotations'
    splits = [folder / f'instances_{split}.json' for split in ('train', 'val', 'test')]
    truth = read_plain_boxes(*splits)
    assert len(truth.imgs) == 364
    boxes = [item['bbox'] for path in splits
             for item in json.loads(path.read_text())['annotations']]
    assert [item['bbox'] for item in truth.anns.values()] == [
        box for box in boxes if box[2] and box[3]]
    assert len(boxes) == len(truth.anns) + 2  # two of BCCD's boxes have no area
    assert [item['name'] for item in truth.cats.values()] == ['RBC', 'WBC', 'Platelets']


def test_what_is_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_plain_boxes(tmp_path / 'nowhere.json')
    for text in ('{"images"', '[]', '{"images": []}', '{"images": {}}'):
        (tmp_path / 'x.json').write_text(text)
        with pytest.raises(AnnotationError, match=r'x\.json .*(not a COCO|lists no images)'):
            read_plain_boxes(tmp_path / 'x.json')
    one = _write(tmp_path / 'a.json', ['1.png'], [(1, 'cat')])
    with pytest.raises(ValueError, match=r'1\.png is twice in .*a\.json, .*a\.json'):
        read_plain_boxes(one, one)
