"""YOLO and VOC through supervision: the same boxes as the COCO json that they were made of."""
from __future__ import annotations

import json

import pytest

from mmppvit.annotations import read_coco
from mmppvit.annotations.other_formats import coco_file, labels_beside
from mmppvit.cli.app import main
from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes

supervision = pytest.importorskip('supervision')


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    """``train/{images,labels,xml}``, ``data.yaml`` and ``coco.json`` of the same boxes."""
    root = tmp_path_factory.mktemp('formats')
    shapes = write_synthetic_shapes(root / 'shapes', 4, 0, (96, 64))
    images = root / 'train/images'
    images.parent.mkdir()
    (shapes / 'train2017').rename(images)
    ann = shapes / 'annotations/instances_train2017.json'
    data = json.loads(ann.read_text())
    for item in data['annotations']:
        item.pop('segmentation', None)  # of which supervision would take the boxes
    ann.write_text(json.dumps(data))
    read = supervision.DetectionDataset.from_coco(str(images), str(ann))
    read.as_yolo(annotations_directory_path=str(root / 'train/labels'),
                 data_yaml_path=str(root / 'data.yaml'))
    read.as_pascal_voc(annotations_directory_path=str(root / 'train/xml'))
    ann.rename(root / 'coco.json')
    return root


def boxes_of(data: dict) -> dict:
    """Sorted (class, box) of every image."""
    names = {item['id']: item['name'] for item in data['categories']}
    files = {item['id']: item['file_name'] for item in data['images']}
    found = {name: [] for name in files.values()}
    for item in data['annotations']:
        found[files[item['image_id']]].append((names[item['category_id']], item['bbox']))
    return {name: sorted(items) for name, items in found.items()}


@pytest.mark.parametrize(('kind', 'ann', 'off'), [
    ('yolo', 'data.yaml', 1e-2), ('voc', 'train/xml', 1.01)])  # VOC has whole pixels
def test_the_same_boxes(kind, ann, off, plain):
    with coco_file(kind, plain / 'train/images', plain / ann) as path:
        data, report = read_coco(path)
    assert not report.refused
    expected = boxes_of(json.loads((plain / 'coco.json').read_text()))
    found = boxes_of(data)
    assert found.keys() == expected.keys()
    assert sum(map(len, found.values())) == sum(map(len, expected.values())) > 4
    for name, items in expected.items():
        assert [label for label, _ in found[name]] == [label for label, _ in items]
        for (_, box), (_, other) in zip(found[name], items, strict=True):
            assert box == pytest.approx(other, abs=off)
    assert not path.exists()  # boxes are private


def test_classes_are_those_of_data_yaml(plain, tmp_path):
    (tmp_path / 'data.yaml').write_text('names: {0: bird, 1: cat, 2: dog, 3: elk, 4: fox}\n')
    with coco_file('yolo', plain / 'train/images', tmp_path / 'data.yaml') as path:
        data = json.loads(path.read_text())
    assert [item['name'] for item in data['categories']] == ['bird', 'cat', 'dog', 'elk', 'fox']


def test_polygons_stay_and_are_no_crowds(plain, tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'labels').mkdir()
    image = min((plain / 'train/images').iterdir())
    (tmp_path / 'images' / image.name).write_bytes(image.read_bytes())
    (tmp_path / 'labels' / f'{image.stem}.txt').write_text('0 .25 .25 .75 .25 .75 .75 .25 .75\n')
    (tmp_path / 'data.yaml').write_text('names: [thing]\n')
    with coco_file('yolo', tmp_path / 'images', tmp_path / 'data.yaml') as path:
        item, = json.loads(path.read_text())['annotations']
    assert item['iscrowd'] == 0
    assert item['bbox'] == pytest.approx([24, 16, 48, 32], abs=1)
    assert len(item['segmentation'][0]) >= 8


@pytest.mark.parametrize(('kind', 'names', 'lines', 'message'), [
    ('yolo', 'names: [a]', '0 .5 .5\n', 'cannot be read as yolo.*at least 5 tokens'),
    ('yolo', 'names: [a]', '7 .5 .5 .1 .1\n', 'cannot be read as yolo.*class_id 7'),
    ('yolo', 'train: x', '0 .5 .5 .1 .1\n', "cannot be read as yolo.*'names'"),
    ('yolo', 'names: [a]', '', 'no image has an annotation'),
    ('voc', None, '<annotation><object></object></annotation>', 'cannot be read as voc'),
    ('voc', None, 'no xml', 'cannot be read as voc')])
def test_what_cannot_be_read_is_one_line(kind, names, lines, message, plain, tmp_path):
    image = min((plain / 'train/images').iterdir())
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / image.name).write_bytes(image.read_bytes())
    suffix, ann = ('xml', tmp_path / 'labels') if kind == 'voc' else ('txt', tmp_path / 'data.yaml')
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / f'{image.stem}.{suffix}').write_text(lines)
    if names:
        ann.write_text(names)
    with pytest.raises(ValueError, match=message) as caught, \
            coco_file(kind, tmp_path / 'images', ann):
        pass
    assert '\n' not in str(caught.value)


def test_labels_are_where_ultralytics_has_them(tmp_path):
    for name in ('a/images/train', 'a/labels/train', 'b/pictures', 'b/labels', 'c'):
        (tmp_path / name).mkdir(parents=True)
    assert labels_beside(tmp_path / 'a/images/train') == tmp_path / 'a/labels/train'
    assert labels_beside(tmp_path / 'b/pictures') == tmp_path / 'b/labels'
    assert labels_beside(tmp_path / 'c') == tmp_path / 'c'


def test_the_command_seals_yolo(plain, tmp_path, capsys):
    out = tmp_path / 'sealed'
    assert main(['seal', '--from', 'yolo', '--img-dir', str(plain / 'train/images'), '--ann',
                 str(plain / 'data.yaml'), '--out', str(out), '--scheme', 'mix']) == 0
    sealed = boxes_of(json.loads((out / 'annotations.json').read_text()))
    expected = boxes_of(json.loads((plain / 'coco.json').read_text()))
    assert sum(map(len, sealed.values())) == sum(map(len, expected.values()))
    # The same again is the same run: the json in between has nothing of the day in it.
    assert main(['seal', '--from', 'yolo', '--img-dir', str(plain / 'train/images'), '--ann',
                 str(plain / 'data.yaml'), '--out', str(out), '--scheme', 'mix', '--resume']) == 0
    capsys.readouterr()
    for args, message in ((['--ann', str(tmp_path / 'none.yaml')], 'no file'), ([], 'data.yaml')):
        assert main(['seal', '--from', 'yolo', '--img-dir', str(plain / 'train/images'), *args,
                     '--out', str(tmp_path / 'other'), '--scheme', 'mix']) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.strip().splitlines()) == 1
