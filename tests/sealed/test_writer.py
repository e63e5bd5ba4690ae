"""Sealing: what comes out."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from mmppvit.encryption import SCHEMES, Scheme
from mmppvit.sealed import ANNOTATIONS, Manifest, SealJob, seal_dataset, verify_sealed
from tests.sealed.jobs import content_of, make_job


def _scheme(name: str, **options) -> Scheme:
    return Scheme(name, grid=2 if 'mix' in name else 1,
                  center_strength=1. if 'center' in name else 0., **options)


@pytest.mark.parametrize('name', SCHEMES)
@pytest.mark.parametrize(('scales', 'image_format'), [
    ((None, ), 'png'), (((120, 70), (64, 64)), 'webp'),
], ids=['as-they-are', 'two-scales'])
def test_files_are_the_encrypted_images(plain, key, tmp_path, name, scales, image_format):
    scheme = _scheme(name)
    job = make_job(plain, tmp_path / 'out', key if scheme.shuffles else None, scheme, scales=scales,
                   image_format=image_format, padding='mirror')
    assert seal_dataset(job).complete
    manifest = Manifest.load(job.out)
    assert (manifest.scheme, manifest.scales) == (scheme, list(scales))
    assert len(manifest.images) == 8 * len(scales)
    for image in manifest.images:
        img = mmcv.imread(plain / 'images' / image.source)
        assert image.plain == img.shape[1::-1]
        if scales[image.scale] is not None:
            img = mmcv.imrescale(img, scales[image.scale])
        assert image.scaled == img.shape[1::-1]
        expected = scheme.encrypt(img, job.key, image.file, 'mirror')
        found = cv2.imread(str(job.out / image.file))
        np.testing.assert_array_equal(found, expected.img)
        assert image.nonce == (expected.nonce or b'').hex()
        assert manifest.read(image) == (job.out / image.file).read_bytes()


def test_the_json_keeps_boxes_in_the_plain_frame(plain, whole):
    before = json.loads((plain / 'ann.json').read_text())
    after = Manifest.load(whole).read_annotations()
    assert after['annotations'] == before['annotations']
    assert after['categories'] == before['categories']
    assert after['images'] == [
        item | dict(file_name=str(Path(item['file_name']).with_suffix('.png')))
        for item in before['images']]


def test_any_reader_can_open_it(plain, whole):
    """pycocotools, OpenCV and json; nothing of this package."""
    manifest = json.loads((whole / 'manifest.json').read_text())
    coco, before = COCO(whole / 'annotations.json'), COCO(plain / 'ann.json')
    patch, grid = manifest['scheme']['patch_size'], manifest['scheme']['grid']
    by_file = {item['file']: item for item in manifest['pictures']}
    for image in coco.loadImgs(coco.getImgIds()):
        for folder in ('images_96x64', 'images_64x48'):
            item = by_file[f'{folder}/{image["file_name"]}']
            img = cv2.imread(str(whole / item['file']))
            assert list(img.shape[1::-1]) == item['size']
            assert item['size'] == [-(-side // patch) * patch // grid for side in item['scaled']]
            assert item['plain'] == [image['width'], image['height']]
            for ann, old in zip(*(c.imgToAnns[image['id']] for c in (coco, before)), strict=True):
                assert ann['bbox'] == old['bbox']
                corner = [ann['bbox'][k] + ann['bbox'][k + 2] for k in (0, 1)]
                x, y = (at * item['scaled'][k] / item['plain'][k] / grid
                        for k, at in enumerate(corner))
                assert 0 < x <= img.shape[1] + .01
                assert 0 < y <= img.shape[0] + .01


def test_a_box_lies_over_the_same_thing(tmp_path):
    """A white square on black: its box times scaled / plain / grid is where it is."""
    (tmp_path / 'images').mkdir()
    img = np.zeros((64, 96, 3), np.uint8)
    img[16:48, 32:80] = 255
    cv2.imwrite(str(tmp_path / 'images/a.png'), img)
    (tmp_path / 'ann.json').write_text(json.dumps(dict(
        images=[dict(id=1, file_name='a.png', width=96, height=64)],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[32, 16, 48, 32], area=1)],
        categories=[dict(id=1, name='thing')])))
    seal_dataset(make_job(tmp_path, tmp_path / 'out', scales=((192, 128), )))
    sealed = cv2.imread(str(tmp_path / 'out/images/a.png'))
    ys, xs = np.nonzero(sealed[..., 0] > 127)
    box = np.array([32, 16, 80, 48]) * (192 / 96) / 2
    # A patch of 8 pixels is what mixing leaves of position.
    assert np.abs(np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) - box).max() <= 1


def test_a_folder_without_annotations(plain, tmp_path):
    (tmp_path / 'images').mkdir()
    for name in ('a.jpg', 'a.png', '.tmp-b.png'):
        cv2.imwrite(str(tmp_path / 'images' / name), np.zeros((20, 30, 3), np.uint8))
    seal_dataset(make_job(tmp_path, tmp_path / 'out', ann_file=None))
    assert list(content_of(tmp_path / 'out')) == [
        'images', 'images/.tmp-b.png', 'images/a.jpg.png', 'images/a.png.png', 'manifest.json']
    assert not list(verify_sealed(tmp_path / 'out'))


def test_fields_that_tell_too_much_are_left_out(plain, tmp_path):
    shutil.copytree(plain / 'images', tmp_path / 'images')
    data = json.loads((plain / 'ann.json').read_text())
    data['images'][0]['flickr_url'] = 'http://secret'
    (tmp_path / 'ann.json').write_text(json.dumps(data))
    report = seal_dataset(make_job(tmp_path, tmp_path / 'out'))
    assert report.dropped_fields == ['images.flickr_url', 'info (whole)', 'licenses (whole)']
    assert b'secret' not in (tmp_path / 'out' / ANNOTATIONS).read_bytes()


@pytest.mark.parametrize('image_format', ['png', 'webp'])
def test_metadata_of_the_camera_is_gone(tmp_path, image_format):
    """GPS and thumbnail; a turned image is sealed as MMDetection loads it, if its json fits."""
    (tmp_path / 'images').mkdir()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, 'SecretCamera'  # turned by 90 degrees; maker
    exif.get_ifd(0x8825)[1] = 'N'  # GPS
    img = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8))
    images = []
    for i, (name, size) in enumerate({'good.jpg': (32, 48), 'bad.jpg': (48, 32)}.items()):
        img.save(tmp_path / 'images' / name, exif=exif)
        images.append(dict(id=i, file_name=name, width=size[0], height=size[1]))
    assert b'SecretCamera' in (tmp_path / 'images/good.jpg').read_bytes()
    (tmp_path / 'ann.json').write_text(json.dumps(dict(images=images, annotations=[])))
    report = seal_dataset(make_job(tmp_path, tmp_path / 'out', image_format=image_format))
    ((name, reason), ) = report.skipped
    assert name == 'bad.jpg'
    assert 'EXIF orientation 6 turns it to 32x48 and its json says 48x32' in reason
    assert '48x32' in reason
    (sealed, ) = (tmp_path / 'out/images').iterdir()
    content = sealed.read_bytes()
    assert not [word for word in (b'Secret', b'Exif', b'eXIf', b'EXIF', b'JFIF') if word in content]
    with Image.open(sealed) as found:
        assert not found.getexif()
    img = mmcv.imread(tmp_path / 'images/good.jpg')
    expected = Scheme('mix').encrypt(img, pad_val='mirror').img
    np.testing.assert_array_equal(cv2.imread(str(sealed)), expected)
    assert not list(verify_sealed(tmp_path / 'out'))


def test_real_images_of_all_sizes(coco_mini, key, tmp_path):
    """Crowds and masks are kept as they are."""
    ann_file = coco_mini / 'annotations/instances_val2017.json'
    job = SealJob(coco_mini / 'val2017', tmp_path / 'out',
                  Scheme('mix+center+shuffle', center_strength=1.), ann_file, key)
    report = seal_dataset(job)
    assert (report.skipped, report.complete) == ([], True)
    before = json.loads(ann_file.read_text())
    after = Manifest.load(job.out).read_annotations()
    assert any(ann['iscrowd'] for ann in before['annotations'])
    assert after['annotations'] == before['annotations']
    assert [(i['id'], i['width'], i['height']) for i in after['images']] == \
        [(i['id'], i['width'], i['height']) for i in before['images']]
    assert not list(verify_sealed(job.out, key))
