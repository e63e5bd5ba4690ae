"""``CheckedCocoDataset``: every silent failure of ``CocoDataset`` is one error with a remedy."""
from __future__ import annotations

import json
from pathlib import Path

import mmppvit.register  # noqa: F401

# isort: split
import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.registry import DefaultScope
from PIL import Image

from mmppvit.annotations import AnnotationError
from mmppvit.datasets import checked_coco

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs')]
CLASSES = ('cat', 'dog')


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def _image(height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _write_coco(root: Path, names: tuple[str, ...] = CLASSES, boxes: int = 1,
                file_name: str = 'a.jpg') -> None:
    content = dict(
        images=[dict(id=1, file_name=file_name, height=48, width=64)],
        categories=[dict(id=3 * i + 1, name=name) for i, name in enumerate(names)],
        annotations=[dict(id=i + 1, image_id=1, category_id=1, bbox=[4, 4, 20, 20], area=400,
                          iscrowd=0) for i in range(boxes)])
    (root / 'coco.json').write_text(json.dumps(content))


@pytest.fixture
def root(tmp_path):
    _write_coco(tmp_path)
    cv2.imwrite(str(tmp_path / 'a.jpg'), _image())
    return tmp_path


def _build(root: Path, classes=CLASSES, **kwargs):
    cfg = dict(type='CheckedCocoDataset', data_root=str(root), ann_file='coco.json',
               data_prefix=dict(img=''), metainfo=dict(classes=classes), pipeline=PIPELINE)
    cfg.update(kwargs)
    return DATASETS.build(cfg)


def test_what_fits_is_passed_on(root):
    dataset = _build(root)
    assert len(dataset) == 1
    assert dataset.metainfo['classes'] == CLASSES
    sample = dataset[0]
    np.testing.assert_array_equal(sample['inputs'].numpy(),
                                  cv2.imread(str(root / 'a.jpg')).transpose(2, 0, 1))
    assert sample['data_samples'].gt_instances.bboxes.tensor.tolist() == [[4, 4, 24, 24]]


def test_fewer_classes_than_the_json_are_fine(root):
    _write_coco(root, ('cat', 'dog', 'horse'))
    assert len(_build(root, ('cat', 'horse'))) == 1


@pytest.mark.parametrize(('classes', 'message'), [
    (('cat', 'bird'), r"\['bird'\] are not in the json: metainfo.classes is \['cat', 'bird'\], "
     r".*coco.json has \['cat', 'dog'\]. Set metainfo=dict\(classes="),
    (('Cat', 'dog'), r"\['Cat'\] are not in the json"),
    (('dog', 'cat'), r"another order .* is \['dog', 'cat'\], .* has \['cat', 'dog'\]. "
     r"Write them as \('cat', 'dog'\)"),
    (('cat', 'cat'), 'another order'),
    ('cat', r"is the string 'cat'; write \('cat', \)"),
    ((), r'metainfo.classes is \[\], .* has'),
], ids=['missing', 'case', 'order', 'twice', 'string', 'none'])
def test_classes_that_do_not_fit(root, classes, message):
    with pytest.raises(ValueError, match=message):
        _build(root, classes)


def test_forgotten_metainfo_does_not_mean_no_boxes(root):
    """``CocoDataset`` then looks for COCO's 80 classes and finds a few, or none."""
    with pytest.raises(ValueError, match=r"are not in the json.*has \['cat', 'dog'\]"):
        _build(root, metainfo=None)


@pytest.mark.parametrize(('content', 'message'), [
    ('[]', 'not a COCO annotation file'), ('{}', 'not a COCO annotation file'),
    ('not json', 'not a COCO annotation file'), ('', 'not a COCO annotation file'),
    ('"text"', 'not a COCO annotation file'), ('{"images": [], "annotations": []}', 'no images'),
    ('{"images": [{"id": 1}], "annotations": [], "categories": ["cat"]}', 'not an object'),
    ('{"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1}]}', 'without a name'),
])
def test_a_json_that_is_not_coco(root, content, message):
    (root / 'coco.json').write_text(content)
    with pytest.raises(AnnotationError, match=rf'coco.json .*{message}'):
        _build(root)


def _bend(root: Path, bend) -> None:
    content = json.loads((root / 'coco.json').read_text())
    bend(content)
    (root / 'coco.json').write_text(json.dumps(content))


@pytest.mark.parametrize('bend', [
    lambda data: data['annotations'][0].update(bbox=[float('nan')] * 4),
    lambda data: data['annotations'][0].update(iscrowd=1),
    lambda data: data['images'].append(dict(data['images'][0], file_name='b.jpg')),
    lambda data: data['images'][0].pop('width'),
], ids=['nan', 'all crowd', 'image id twice', 'no width'])
def test_what_mmdetection_takes_in_silence_is_refused(root, bend):
    _bend(root, bend)
    with pytest.raises(AnnotationError, match=r'coco\.json cannot be used: 1 x'):
        _build(root)


@pytest.mark.parametrize('bend', [
    lambda data: data['annotations'][0].pop('area'),
    lambda data: data['annotations'][0].pop('iscrowd'),
    lambda data: data['annotations'][0].update(image_id='1'),
    lambda data: data['annotations'][0].update(id=0),
    lambda data: data['images'][0].update(id='1'),
], ids=['no area', 'no iscrowd', 'image_id a string', 'id 0', 'image id a string'])
def test_what_is_mended_is_used_and_said(root, bend, monkeypatch):
    said = []
    monkeypatch.setattr(checked_coco, 'print_log', lambda text, **_: said.append(text))
    _bend(root, bend)
    dataset = _build(root)
    assert [box['bbox'] for box in dataset.get_data_info(0)['instances']] == [[4, 4, 24, 24]]
    assert dataset[0]['data_samples'].gt_instances.bboxes.tensor.tolist() == [[4, 4, 24, 24]]
    assert len(said) == 1
    assert 'coco.json: corrected 1 x ' in said[0]


def test_a_test_set_needs_no_annotations(root):
    _bend(root, lambda data: data.pop('annotations'))
    assert len(_build(root, test_mode=True)) == 1


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_encodings_of_the_json(root, encoding):
    content = (root / 'coco.json').read_text()
    (root / 'coco.json').write_text(content, encoding=encoding)
    assert len(_build(root)[0]['data_samples'].gt_instances) == 1


def test_a_missing_json(root):
    with pytest.raises(FileNotFoundError, match=r'no annotation file .*nowhere.json: set '):
        _build(root, ann_file='nowhere.json')


def test_nothing_left_after_filtering(root):
    _write_coco(root, boxes=0)
    message = r'1 images with 0 usable boxes, and filter_cfg=.*filter_empty_gt.* keeps none'
    with pytest.raises(ValueError, match=message):
        _build(root, filter_cfg=dict(filter_empty_gt=True, min_size=1))
    assert len(_build(root)) == 1  # nothing to filter: the image stays


def test_nothing_left_because_of_the_size(root):
    with pytest.raises(ValueError, match=r"1 images with 1 usable boxes.*'min_size': 100"):
        _build(root, filter_cfg=dict(min_size=100))


def _error_of(root: Path) -> str:
    with pytest.raises(OSError, match='cannot be used') as caught:
        _build(root)[0]
    return str(caught.value)


@pytest.mark.parametrize('share', [.05, .5, .9, .99])
def test_a_truncated_jpeg_is_named(root, share):
    content = (root / 'a.jpg').read_bytes()
    (root / 'a.jpg').write_bytes(content[:int(len(content) * share)])
    message = _error_of(root)
    assert 'a.jpg (listed in ' in message
    assert 'restore the file' in message


@pytest.mark.parametrize('share', [.05, .5, .9, .99])
def test_a_truncated_png_is_named(root, share):
    _write_coco(root, file_name='a.png')
    cv2.imwrite(str(root / 'a.png'), _image())
    content = (root / 'a.png').read_bytes()
    (root / 'a.png').write_bytes(content[:int(len(content) * share)])
    assert 'a.png (listed in ' in _error_of(root)


def test_a_jpeg_that_only_lacks_its_end_is_whole(root):
    """OpenCV 5 refuses it; the rule is that of sealing."""
    path = root / 'a.jpg'
    whole = _build(root)[0]['inputs']
    path.write_bytes(path.read_bytes()[:-2])
    np.testing.assert_array_equal(_build(root)[0]['inputs'], whole)
    path.write_bytes(path.read_bytes()[:-40])
    assert 'damaged' in _error_of(root)


def test_a_jpeg_with_bytes_after_its_end_is_whole(root):
    """Some cameras write there; the strict decoder must accept what it decodes."""
    with open(root / 'a.jpg', 'ab') as file:
        file.write(bytes(5000))
    assert _build(root)[0]['inputs'].shape == (3, 48, 64)


@pytest.mark.parametrize('content', [b'<html>404 Not Found</html>', b'', b'\xff', b'\xff\xd8'],
                         ids=['html', 'empty', 'one byte', 'marker'])
def test_a_file_that_is_no_image_is_named(root, content):
    (root / 'a.jpg').write_bytes(content)
    message = _error_of(root)
    assert 'a.jpg (listed in ' in message
    assert 'take it out of the json' in message


def test_a_missing_image_is_named(root):
    (root / 'a.jpg').unlink()
    message = _error_of(root)
    assert 'a.jpg (listed in ' in message
    assert 'No such file' in message


@pytest.mark.parametrize('kind', ['grayscale', 'rgba', '16 bits', '16 bits grayscale', 'bilevel'])
def test_any_kind_of_file_loads_as_8_bit_color(root, kind):
    image = _image()
    stored = {
        'grayscale': image[..., 0],
        'rgba': np.dstack([image, image[..., 0]]),
        '16 bits': image.astype(np.uint16) * 257,
        '16 bits grayscale': image[..., 0].astype(np.uint16) * 257,
        'bilevel': (image[..., 0] > 127).astype(np.uint8) * 255,
    }[kind]
    _write_coco(root, file_name='a.png')
    params = [cv2.IMWRITE_PNG_BILEVEL, 1] if kind == 'bilevel' else []
    cv2.imwrite(str(root / 'a.png'), stored, params)
    inputs = _build(root)[0]['inputs'].numpy()
    gray = {'grayscale': image[..., :1], '16 bits grayscale': image[..., :1],
            'bilevel': (image[..., :1] > 127) * 255}.get(kind, image)
    assert inputs.dtype == np.uint8
    np.testing.assert_array_equal(inputs, np.broadcast_to(gray, image.shape).transpose(2, 0, 1))


@pytest.mark.parametrize('kind', ['grayscale', 'progressive'])
def test_jpegs_of_other_kinds_load(root, kind):
    image = _image()[..., 0] if kind == 'grayscale' else _image()
    cv2.imwrite(str(root / 'a.jpg'), image,
                [cv2.IMWRITE_JPEG_PROGRESSIVE, int(kind == 'progressive')])
    assert _build(root)[0]['inputs'].shape == (3, 48, 64)


def test_images_pass_through_mixing(root):
    pipeline = [*PIPELINE[:2], dict(type='MixSubPatches'), PIPELINE[2]]
    sample = _build(root, pipeline=pipeline)[0]
    assert sample['inputs'].shape == (3, 24, 32)
    assert sample['data_samples'].gt_instances.bboxes.tensor.tolist() == [[2, 2, 12, 12]]


def test_errors_of_later_steps_are_not_blamed_on_the_file(root):
    def step(results: dict) -> dict:
        raise AssertionError('my own bug')

    with pytest.raises(AssertionError, match=r'^my own bug'):
        _build(root, pipeline=[PIPELINE[0], step])[0]


def _store_turned(path: Path, orientation: int) -> tuple[int, int]:
    """Store the image so that a viewer which heeds ``orientation`` shows it; the stored size."""
    image = Image.open(path)
    if orientation >= 5:
        image = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x112] = orientation
    image.save(path, exif=exif)
    return image.size


@pytest.mark.parametrize('orientation', range(5, 9))
def test_sizes_before_the_exif_turn_are_refused(root, orientation):
    width, height = _store_turned(root / 'a.jpg', orientation)
    assert _build(root)[0]['inputs'].shape == (3, 48, 64)  # sizes after the turn fit
    _bend(root, lambda data: data['images'][0].update(width=width, height=height))
    message = rf'EXIF orientation {orientation} .* to 64x48 .* says 48x64, the size before the turn'
    with pytest.raises(OSError, match=message):
        _build(root)[0]


@pytest.mark.parametrize('orientation', [2, 3, 4])
def test_a_turn_that_keeps_the_size_is_judged_by_the_other_images(root, orientation):
    _store_turned(root / 'a.jpg', orientation)
    with pytest.raises(OSError, match='no other image of the json tells'):
        _build(root)[0]
    cv2.imwrite(str(root / 'b.jpg'), _image())
    stored = _store_turned(root / 'b.jpg', 6)
    _bend(root, lambda data: data['images'].append(
        dict(id=2, file_name='b.jpg', width=64, height=48)))
    assert _build(root)[0]['inputs'].shape == (3, 48, 64)
    _bend(root, lambda data: data['images'][1].update(width=stored[0], height=stored[1]))
    with pytest.raises(OSError, match='sizes before the turn of 1 other images'):
        _build(root)[0]


def test_boxes_of_another_size_are_refused(root):
    _bend(root, lambda data: data['images'][0].update(width=640, height=480))
    with pytest.raises(OSError, match=r'it is 64x48 .* its json says 640x480'):
        _build(root)[0]


@pytest.mark.parametrize('name', ['./a.jpg', './/a.jpg', 'sub\\b.jpg', 'sub//b.jpg', 'c%20d.jpg'])
def test_names_as_other_tools_write_them(root, name):
    (root / 'sub').mkdir()
    for copy in ('sub/b.jpg', 'c d.jpg'):
        (root / copy).write_bytes((root / 'a.jpg').read_bytes())
    _bend(root, lambda data: data['images'][0].update(file_name=name))
    assert _build(root)[0]['inputs'].shape == (3, 48, 64)


def test_images_that_are_links(root):
    (root / 'a.jpg').rename(root.parent / 'cached.jpg')
    (root / 'a.jpg').symlink_to(root.parent / 'cached.jpg')
    assert _build(root)[0]['inputs'].shape == (3, 48, 64)


def test_a_file_is_checked_again_only_when_it_changes(root, monkeypatch):
    dataset, calls = _build(root), []
    monkeypatch.setattr(checked_coco, 'check_readable', calls.append)
    for _ in range(3):
        dataset[0]
    assert len(calls) == 1
    content = (root / 'a.jpg').read_bytes()
    monkeypatch.undo()
    (root / 'a.jpg').write_bytes(content[:len(content) // 2])
    with pytest.raises(OSError, match='cannot be used'):
        dataset[0]
