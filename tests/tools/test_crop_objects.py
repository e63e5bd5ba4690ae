"""Objects of a COCO data set as folders of a classifier, whose weights start a detector."""
from __future__ import annotations

import errno
import json
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def data_set(tmp_path):
    """Four images; a white square of 8 pixels in the middle of every box."""
    (tmp_path / 'images').mkdir()
    images, annotations = [], []
    for index in range(4):
        img = np.zeros((40, 60, 3), np.uint8)
        for place, x in enumerate((0, 20, 40)):
            img[16:24, x + 6:x + 14] = 255
            annotations.append(dict(
                id=10 * index + place + 1, image_id=index, category_id=place % 2 + 1, iscrowd=0,
                bbox=[x, 10, 20, 20], area=400))
        cv2.imwrite(str(tmp_path / f'images/{index}.png'), img)
        images.append(dict(id=index, file_name=f'{index}.png', width=60, height=40))
    categories = [dict(id=1, name='a'), dict(id=2, name='../b')]
    (tmp_path / 'ann.json').write_text(json.dumps(
        dict(images=images, annotations=annotations, categories=categories)))
    return tmp_path


def test_crops(data_set, run_tool):
    run_tool('crop_objects.py', '--ann', data_set / 'ann.json', '--img-dir', data_set / 'images',
             '--out', data_set / 'out', '--size', 16, '--val-share', .25)
    files = sorted(path.relative_to(data_set / 'out') for path in data_set.glob('out/*/*/*'))
    assert len(files) == 12, 'every object once'
    assert {path.parts[1] for path in files} == {'a', '___b'}, 'no class name leaves the folder'
    val = {int(path.stem) // 10 for path in files if path.parts[0] == 'val'}
    assert len(val) == 1
    assert all(int(path.stem) // 10 not in val for path in files if path.parts[0] == 'train')
    for path in data_set.glob('out/*/*/*'):
        crop = cv2.imread(str(path))
        assert crop.shape == (16, 16, 3)
        assert (crop[4:12, 4:12] == 255).all()
        assert (crop[:3] == 0).all()


def test_scale_and_number(data_set, run_tool):
    run_tool('crop_objects.py', '--ann', data_set / 'ann.json', '--img-dir', data_set / 'images',
             '--out', data_set / 'out', '--size', 16, '--scale', .5, '--max-per-class', 2)
    paths = list(data_set.glob('out/*/*/*'))
    assert len(paths) == 4
    assert all((cv2.imread(str(path))[6:10, 6:10] == 255).all() for path in paths)


def test_background_shows_no_object_in_its_middle(data_set, run_tool):
    data = json.loads((data_set / 'ann.json').read_text())
    data['annotations'] = [item for item in data['annotations'] if item['bbox'][0] == 0]
    (data_set / 'ann.json').write_text(json.dumps(data))
    for index in range(4):  # the left third is object, all of it white
        img = np.zeros((40, 60, 3), np.uint8)
        img[10:30, :20] = 255
        cv2.imwrite(str(data_set / f'images/{index}.png'), img)
    run_tool('crop_objects.py', '--ann', data_set / 'ann.json', '--img-dir', data_set / 'images',
             '--out', data_set / 'out', '--size', 16, '--background', 3)
    paths = list(data_set.glob('out/*/background/*'))
    assert len(paths) == 12
    assert not any(cv2.imread(str(path))[5:11, 5:11].any() for path in paths)
    assert len(list(data_set.glob('out/*/a/*'))) == 4


@pytest.mark.parametrize(('option', 'value', 'error'), [
    ('--ann', 'none.json', 'no annotation file'),
    ('--out', '.', 'is not empty'),
])
def test_errors(option, value, error, data_set, run_tool, capsys):
    options = {'--ann': 'ann.json', '--img-dir': 'images', '--out': 'out', option: value}
    with pytest.raises(SystemExit):
        run_tool('crop_objects.py', *(part for key, given in options.items()
                                      for part in (key, data_set / given)))
    assert error in capsys.readouterr().err


def _spot(path) -> tuple[float, float]:
    """Row and column of the middle of what is white."""
    rows, columns = np.nonzero(cv2.imread(str(path))[..., 0] > 127)
    return rows.mean(), columns.mean()


def test_directions_say_where_the_object_lies(data_set, run_tool):
    run_tool('crop_objects.py', '--ann', data_set / 'ann.json', '--img-dir', data_set / 'images',
             '--out', data_set / 'out', '--size', 20, '--shift', .3, '--directions',
             '--max-per-class', 60)
    by_class = {name: [_spot(path) for path in data_set.glob(f'out/*/a_{name}/*')]
                for name in ('middle', 'left', 'right', 'above', 'below')}
    assert sum(map(len, by_class.values())) == 60, 'eight objects, cut at sixty places'
    assert all(by_class.values())
    for name, spots in by_class.items():
        for row, column in spots:
            down, right = row - 9.5, column - 9.5
            if name == 'middle':
                assert max(abs(down), abs(right)) < 5
            else:
                across, sign = dict(left=(right, -1), right=(right, 1), above=(down, -1),
                                    below=(down, 1))[name]
                assert sign * across >= max(abs(down), abs(right)) - 1 > 2


@pytest.mark.parametrize(('options', 'message'), [
    (['--shift', .6], 'leaves the object: choose 0 to 0.5'),
    (['--directions'], 'choose --shift 0.5'),
    (['--directions', '--shift', .1], 'choose --shift 0.5')])
def test_options_that_make_no_sense(data_set, run_tool, capfd, options, message):
    with pytest.raises(SystemExit):
        run_tool('crop_objects.py', '--ann', data_set / 'ann.json', '--img-dir',
                 data_set / 'images', '--out', data_set / 'out', *options)
    assert not (data_set / 'out').exists()
    assert message in capfd.readouterr().err


def test_a_full_disk_is_said_and_leaves_nothing(data_set, run_tool, capfd, monkeypatch):
    written = []

    def full(path, content):
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, 'No space left on device', str(path))

    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(SystemExit) as ended:
        run_tool('crop_objects.py', '--ann', data_set / 'ann.json', '--img-dir',
                 data_set / 'images', '--out', data_set / 'out')
    assert ended.value.code == 2
    assert 'No space left on device' in capfd.readouterr().err
    assert sorted(path.name for path in data_set.iterdir()) == ['ann.json', 'images']
