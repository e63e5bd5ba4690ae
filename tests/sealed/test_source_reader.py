"""Plain images against their json: sizes, EXIF turns, links, hidden folders."""
from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from mmppvit.encryption import Scheme
from mmppvit.sealed import Manifest, SealJob, seal_dataset
from mmppvit.sealed.source_reader import SourceReader, input_remarks
from mmppvit.sealed.sources import read_sources

SHOWN = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8))


def _save(path, orientation: int, shown: Image.Image = SHOWN) -> tuple[int, int]:
    """Write an image that viewers turn to ``shown``; the size of what is stored."""
    exif = Image.Exif()
    exif[0x112] = orientation
    for turn in (None, *Image.Transpose):
        stored = shown if turn is None else shown.transpose(turn)
        stored.save(path, exif=exif)
        back = ImageOps.exif_transpose(Image.open(path))
        if back.size == shown.size and np.array_equal(np.asarray(back), np.asarray(shown)):
            return stored.size
    raise AssertionError(orientation)


def _read(root, sizes: dict[str, tuple[int, int]]) -> dict[str, np.ndarray | str]:
    """Pixels, or why there are none, of images whose json gives these sizes."""
    images = [dict(id=k + 1, file_name=name, width=size[0], height=size[1])
              for k, (name, size) in enumerate(sizes.items())]
    (root / 'a.json').write_text(json.dumps(dict(images=images)))
    reader, found = SourceReader(root, root / 'a.json'), {}
    for source in read_sources(root, root / 'a.json')[0]:
        try:
            found[source.name] = reader.read(source).img[..., ::-1]
        except ValueError as err:
            found[source.name] = str(err)
    return found


def test_sizes_after_the_turn_fit_all_orientations(tmp_path):
    for k in range(1, 9):
        _save(tmp_path / f'{k}.png', k)
    for img in _read(tmp_path, {f'{k}.png': (64, 32) for k in range(1, 9)}).values():
        np.testing.assert_array_equal(img, np.asarray(SHOWN))


def test_sizes_before_the_turn_fit_none_that_is_turned(tmp_path):
    stored = {f'{k}.png': _save(tmp_path / f'{k}.png', k) for k in range(1, 9)}
    found = _read(tmp_path, stored)
    np.testing.assert_array_equal(found.pop('1.png'), np.asarray(SHOWN))
    assert len(found) == 7
    for name, reason in found.items():
        assert f'EXIF orientation {name[0]}' in reason
        assert 'mogrify -auto-orient' in reason


@pytest.mark.parametrize('orientation', range(2, 9))
def test_square_images_are_judged_by_the_others(tmp_path, orientation):
    square = SHOWN.crop((0, 0, 32, 32))
    _save(tmp_path / 'square.png', orientation, square)
    assert 'no other image of the json tells' in _read(tmp_path, {'square.png': (32, 32)})[
        'square.png']
    _save(tmp_path / 'x.png', 6)
    found = _read(tmp_path, {'square.png': (32, 32), 'x.png': (64, 32)})
    np.testing.assert_array_equal(found['square.png'], np.asarray(square))
    found = _read(tmp_path, {'square.png': (32, 32), 'x.png': (32, 64)})
    assert 'before the turn of 1 other images' in found['square.png']


def test_a_folder_is_accounted_for(tmp_path):
    images = tmp_path / 'images'
    (images / '.ipynb_checkpoints').mkdir(parents=True)
    (tmp_path / 'cache').mkdir()
    SHOWN.save(tmp_path / 'cache/linked.png')
    (images / 'link.png').symlink_to(tmp_path / 'cache/linked.png')
    (images / 'sub').symlink_to(tmp_path / 'cache')
    SHOWN.save(images / 'a.jfif', 'JPEG')
    SHOWN.save(images / '.ipynb_checkpoints/a.png')
    Image.fromarray(np.arange(64 * 32, dtype=np.uint16).reshape(32, 64)).save(images / '12bit.png')
    (images / 'a.heic').write_bytes(b'x')
    (images / 'notes.txt').write_text('x')
    report = seal_dataset(SealJob(images, tmp_path / 'out', Scheme('mix')))
    assert [image.source for image in Manifest.load(tmp_path / 'out').images] == [
        'a.jfif', 'link.png', 'sub/linked.png']
    reasons = dict(report.skipped)
    assert set(reasons) == {'.ipynb_checkpoints/a.png', '12bit.png', 'a.heic'}
    assert 'hidden folder' in reasons['.ipynb_checkpoints/a.png']
    assert '--window 0 2047' in reasons['12bit.png']
    assert 'cannot read .heic' in reasons['a.heic']
    assert report.remarks == [f'1 files of {images} are no images: notes.txt']
    windowed = seal_dataset(SealJob(images, tmp_path / 'out2', Scheme('mix'), window=(0, 2047)))
    assert '12bit.png' not in dict(windowed.skipped)


def test_a_link_to_an_image_that_may_be_read_is_followed_by_json_too(tmp_path):
    (tmp_path / 'images').mkdir()
    SHOWN.save(tmp_path / 'cached.png')
    (tmp_path / 'images/a.png').symlink_to(tmp_path / 'cached.png')
    (tmp_path / 'a.json').write_text(json.dumps(dict(
        images=[dict(id=1, file_name='.//a.png', width=64, height=32)], annotations=[dict(
            id=0, image_id='1', category_id=1, bbox=[1, 2, 3, 4])],
        categories=[dict(id=1, name='x')])))
    job = SealJob(tmp_path / 'images', tmp_path / 'out', Scheme('mix'), tmp_path / 'a.json')
    report = seal_dataset(job)
    assert report.skipped == []
    assert [line.split(' (')[0] for line in report.remarks] == [
        f'corrected 1 x {what}' for what in (
            'image_id matched with the id of the image, which is written otherwise',
            'iscrowd completed or made 0 or 1', 'area completed as width * height of the box',
            'annotation id 0, which pycocotools takes for none, numbered anew')]
    sealed = Manifest.load(tmp_path / 'out').read_annotations()
    assert sealed['annotations'] == [
        dict(id=1, image_id=1, category_id=1, bbox=[1, 2, 3, 4], area=12, iscrowd=0)]
    assert input_remarks(job.img_dir, job.ann_file) == report.remarks


def test_an_image_squeezed_to_nothing_is_said_in_words(tmp_path):
    (tmp_path / 'images').mkdir()
    Image.new('RGB', (4000, 1)).save(tmp_path / 'images/strip.png')
    SHOWN.save(tmp_path / 'images/a.png')
    report = seal_dataset(SealJob(tmp_path / 'images', tmp_path / 'out', Scheme('mix'),
                                  scales=((64, 64), )))
    ((name, reason), ) = report.skipped
    assert name == 'strip.png'
    assert reason.startswith('it is 4000x1, of which fitting into 64x64 would leave 64x0')
