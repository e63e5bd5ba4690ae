"""Sealed data sets for tools that know nothing of frames: boxes lie where objects are."""
from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmppvit.cli.app import main
from mmppvit.encryption import Scheme
from mmppvit.sealed import SealJob, seal_dataset
from mmppvit.sealed.sealed_frame import export_sealed

BOX = [32, 16, 48, 32]  # whole patches of a black image, white


@pytest.fixture
def sealed(tmp_path):
    """``sealed(scheme, scales, size)``: one sealed image with one white rectangle."""
    def make(scheme=Scheme('mix'), scales=(None, ), size=(150, 90)):
        (tmp_path / 'plain').mkdir()
        img = np.zeros((*size[::-1], 3), np.uint8)
        x, y, w, h = BOX
        img[y:y + h, x:x + w] = 255
        cv2.imwrite(str(tmp_path / 'plain/a.png'), img)
        polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
        (tmp_path / 'ann.json').write_text(json.dumps(dict(
            images=[dict(id=1, file_name='a.png', width=size[0], height=size[1])],
            annotations=[dict(id=1, image_id=1, category_id=1, bbox=BOX, area=w * h, iscrowd=0,
                              segmentation=[polygon])],
            categories=[dict(id=1, name='white')])))
        seal_dataset(SealJob(tmp_path / 'plain', tmp_path / 'sealed', scheme,
                             tmp_path / 'ann.json', scales=scales))
        return tmp_path / 'sealed'
    return make


def is_where_the_object_is(img, xyxy) -> bool:
    """White within the box, black around it, up to a pixel."""
    x1, y1, x2, y2 = (round(float(value)) for value in xyxy)
    inside = img[y1 + 1:y2 - 1, x1 + 1:x2 - 1]
    outside = img.copy()
    outside[max(y1 - 1, 0):y2 + 1, max(x1 - 1, 0):x2 + 1] = 0
    return inside.size > 0 and inside.min() > 200 and outside.max() < 50


@pytest.mark.parametrize('scales', [(None, ), ((300, 300), )])
def test_pycocotools_sees_boxes_where_objects_are(sealed, scales, tmp_path):
    assert export_sealed(sealed(scales=scales), tmp_path / 'out', 'coco') == 1
    coco = COCO(str(tmp_path / 'out/annotations.json'))
    info, = coco.loadImgs(coco.getImgIds())
    ann, = coco.loadAnns(coco.getAnnIds())
    img = cv2.imread(str(tmp_path / 'out/images' / info['file_name']))
    assert img.shape[:2] == (info['height'], info['width'])
    x, y, w, h = ann['bbox']
    assert is_where_the_object_is(img, (x, y, x + w, y + h))
    mask = coco.annToMask(ann)
    assert mask.shape == img.shape[:2]
    assert img[mask > 0].mean() > 240
    assert ann['area'] == pytest.approx(w * h)


@pytest.mark.parametrize('scheme', [Scheme('mix'), Scheme('mix', 16, 4)])
def test_supervision_sees_boxes_where_objects_are(sealed, scheme, tmp_path):
    supervision = pytest.importorskip('supervision')
    assert main(['export', str(sealed(scheme)), str(tmp_path / 'out'), '--to', 'yolo']) == 0
    assert not (tmp_path / 'out/annotations.json').exists()
    read = supervision.DetectionDataset.from_yolo(
        str(tmp_path / 'out/images'), str(tmp_path / 'out/labels'),
        str(tmp_path / 'out/data.yaml'))
    assert read.classes == ['white']
    (_, img, found), = list(read)
    assert len(found) == 1
    assert is_where_the_object_is(img, found.xyxy[0])


def test_boxes_of_blood_cells_lie_in_the_sealed_images(bccd, tmp_path):
    """In the plain frame, most do not."""
    data = json.loads((bccd / 'annotations/instances_test.json').read_text())
    data['images'] = data['images'][:3]
    ids = {item['id'] for item in data['images']}
    data['annotations'] = [item for item in data['annotations'] if item['image_id'] in ids]
    (tmp_path / 'ann.json').write_text(json.dumps(data))
    seal_dataset(SealJob(bccd / 'images', tmp_path / 'sealed', Scheme('mix+center', 16, 2, 1.),
                         tmp_path / 'ann.json', scales=((320, 240), )))
    export_sealed(tmp_path / 'sealed', tmp_path / 'out', 'coco')

    def outside(path) -> int:
        coco = COCO(str(path))
        sizes = {path.name: cv2.imread(str(path)).shape for path in
                 (tmp_path / 'out/images').iterdir()}
        total = 0
        for ann in coco.loadAnns(coco.getAnnIds()):
            height, width, _ = sizes[coco.loadImgs(ann['image_id'])[0]['file_name']]
            x, y, w, h = ann['bbox']
            total += x + w > width + 1e-6 or y + h > height + 1e-6
        return total
    assert outside(tmp_path / 'sealed/annotations.json') > len(data['annotations']) / 2
    assert outside(tmp_path / 'out/annotations.json') == 0


def test_files_are_copied_bit_for_bit(sealed, tmp_path):
    root = sealed()
    export_sealed(root, tmp_path / 'out', 'coco')
    assert (tmp_path / 'out/images/a.png').read_bytes() == (root / 'images/a.png').read_bytes()


def test_several_scales_are_exported_one_by_one(sealed, tmp_path):
    root = sealed(scales=((150, 90), (300, 180)))
    with pytest.raises(ValueError, match='150x90, 300x180: choose one'):
        export_sealed(root, tmp_path / 'out', 'coco')
    assert not (tmp_path / 'out').exists()
    export_sealed(root, tmp_path / 'out', 'coco', '300x180')
    info, = json.loads((tmp_path / 'out/annotations.json').read_text())['images']
    assert (info['width'], info['height']) == (152, 96)


def test_what_has_no_layout_is_refused(sealed_shapes, tmp_path, capsys):
    root = sealed_shapes.folder('mix+shuffle')
    assert main(['export', str(root), str(tmp_path / 'out'), '--to', 'coco']) == 2
    assert 'no box has a place' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_what_is_there_is_kept(sealed_shapes, tmp_path, capsys):
    (tmp_path / 'mine.txt').write_text('x')
    assert main(['export', str(sealed_shapes.folder('mix')), str(tmp_path), '--to', 'coco']) == 2
    assert 'not empty' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['mine.txt']
