"""Synthetic images, plain and sealed; tests that change files copy them first."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.encryption import Key
from mmppvit.sealed import seal_dataset
from tests.sealed.jobs import two_scales

SIZE = (80, 64)


@pytest.fixture(scope='session')
def key(tmp_path_factory) -> Key:
    return Key.create(tmp_path_factory.mktemp('keys') / 'owner.key')


@pytest.fixture(scope='session')
def plain(tmp_path_factory) -> Path:
    """Folder with 8 images, four of them in sub-folders, and ann.json."""
    root = tmp_path_factory.mktemp('plain')
    drawn = write_synthetic_shapes(root / 'set', 8, 1, SIZE)
    data = json.loads((drawn / 'annotations/instances_train2017.json').read_text())
    for item in data['images'][4:]:
        name = f'sub/deeper/{item["id"]}.jpg'
        (root / 'images' / name).parent.mkdir(parents=True, exist_ok=True)
        img = cv2.imread(str(drawn / 'train2017' / item['file_name']))
        cv2.imwrite(str(root / 'images' / name), img)
        item['file_name'] = name
    for item in data['images'][:4]:
        shutil.move(drawn / 'train2017' / item['file_name'], root / 'images')
    data['annotations'][0]['iscrowd'] = 1
    (root / 'ann.json').write_text(json.dumps(data))
    return root


@pytest.fixture(scope='session')
def whole(plain, key, tmp_path_factory) -> Path:
    """What an uninterrupted run makes, at two scales and with the key."""
    out = tmp_path_factory.mktemp('whole') / 'sealed'
    report = seal_dataset(two_scales(plain, out, key))
    assert (report.written, report.kept, report.skipped, report.complete) == (16, 0, [], True)
    return out
