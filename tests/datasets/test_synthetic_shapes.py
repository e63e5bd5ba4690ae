"""The synthetic data set: the same every time, valid COCO, and never half there."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmppvit.datasets import synthetic_shapes
from mmppvit.datasets.synthetic_shapes import SHAPES, write_synthetic_shapes

SIZE = (160, 128)


def _digests(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob('*')) if path.is_file()}


@pytest.fixture(scope='module')
def drawn(tmp_path_factory) -> Path:
    return write_synthetic_shapes(tmp_path_factory.mktemp('drawn') / 'set', 24, 6, SIZE)


def test_same_arguments_give_the_same_bytes(drawn, tmp_path):
    again = write_synthetic_shapes(tmp_path / 'again', 24, 6, SIZE)
    assert _digests(again) == _digests(drawn)


def test_images_do_not_depend_on_their_number(drawn, tmp_path):
    fewer = _digests(write_synthetic_shapes(tmp_path / 'fewer', 3, 2, SIZE))
    pngs = {name: digest for name, digest in fewer.items() if name.endswith('.png')}
    assert len(pngs) == 5
    assert pngs.items() <= _digests(drawn).items()


def test_another_seed_gives_other_images(drawn, tmp_path):
    other = _digests(write_synthetic_shapes(tmp_path / 'other', 3, 2, SIZE, seed=1))
    assert not set(other.values()) & set(_digests(drawn).values())


def test_splits_share_no_image(drawn):
    digests = _digests(drawn)
    assert len(set(digests.values())) == len(digests) == 32


@pytest.mark.parametrize('split', ['train2017', 'val2017'])
def test_annotations_are_valid_coco(drawn, split):
    coco = COCO(drawn / 'annotations' / f'instances_{split}.json')
    assert [cat['name'] for cat in coco.loadCats(coco.getCatIds())] == list(SHAPES)
    for image in coco.loadImgs(coco.getImgIds()):
        pixels = cv2.imread(str(drawn / split / image['file_name']))
        assert pixels.shape == (*SIZE[::-1], 3) == (image['height'], image['width'], 3)
    annotations = coco.loadAnns(coco.getAnnIds())
    assert [ann['id'] for ann in annotations] == list(range(1, len(annotations) + 1))
    for ann in annotations:
        x, y, w, h = ann['bbox']
        assert min(x, y) >= 0
        assert min(w, h) >= 4
        assert x + w <= SIZE[0]
        assert y + h <= SIZE[1]
        points = np.concatenate([np.reshape(part, (-1, 2)) for part in ann['segmentation']])
        np.testing.assert_allclose([*points.min(0), *np.ptp(points, axis=0)], ann['bbox'])
        perimeter = 2 * (w + h)  # pycocotools rounds outlines to pixels
        assert abs(coco.annToMask(ann).sum() - ann['area']) < perimeter


def test_every_class_is_drawn_and_objects_do_not_share_pixels(drawn):
    coco = COCO(drawn / 'annotations' / 'instances_train2017.json')
    assert {ann['category_id'] for ann in coco.dataset['annotations']} == set(
        range(1, len(SHAPES) + 1))
    kernel = np.ones((3, 3), np.uint8)
    for image_id in coco.getImgIds():
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        masks = [cv2.erode(coco.annToMask(ann), kernel) for ann in annotations]
        # Only an object that lies wholly in front of another one is inside its outline.
        for i, back in enumerate(masks):
            for front in masks[i + 1:]:
                shared = (back & front).sum()
                assert shared == 0 or shared == front.sum()


def test_a_complete_set_is_kept_and_another_one_replaced(tmp_path):
    out = write_synthetic_shapes(tmp_path / 'set', 2, 1, SIZE)
    first = out / 'train2017' / '000000000001.png'
    before = first.stat().st_mtime_ns
    write_synthetic_shapes(out, 2, 1, SIZE)
    assert first.stat().st_mtime_ns == before
    write_synthetic_shapes(out, 3, 1, SIZE)
    assert len(list((out / 'train2017').iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ['set']


@pytest.mark.parametrize('content', [None, '{}', '{"info": {"description": "mine"}}', '[]'])
def test_foreign_folders_are_left_alone(tmp_path, content):
    (tmp_path / 'set' / 'annotations').mkdir(parents=True)
    if content is not None:
        (tmp_path / 'set' / 'annotations' / 'instances_val2017.json').write_text(content)
    before = _digests(tmp_path)
    with pytest.raises(FileExistsError, match='something else than synthetic shapes'):
        write_synthetic_shapes(tmp_path / 'set', 1, 1, SIZE)
    assert _digests(tmp_path) == before


@pytest.mark.parametrize('there_before', [False, True])
def test_an_interruption_leaves_no_part(tmp_path, monkeypatch, there_before):
    if there_before:
        write_synthetic_shapes(tmp_path / 'set', 1, 1, SIZE)
    before = _digests(tmp_path)
    draw, calls = synthetic_shapes._draw_image, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return draw(*args)

    monkeypatch.setattr(synthetic_shapes, '_draw_image', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_synthetic_shapes(tmp_path / 'set', 4, 1, SIZE)
    assert _digests(tmp_path) == before
    assert there_before or not list(tmp_path.iterdir())


def test_annotation_files_name_how_the_set_was_drawn(drawn):
    info = json.loads((drawn / 'annotations/instances_val2017.json').read_text())['info']
    assert (info['seed'], info['size'], info['num_val']) == (0, list(SIZE), 6)
