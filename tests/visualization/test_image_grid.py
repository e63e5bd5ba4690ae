"""Images in rows and columns."""
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmppvit.visualization import (
    distinct_colors,
    draw_instances,
    enlarge,
    image_grid,
    save_image,
)

RED, GREEN = (200, 0, 0), (0, 200, 0)


def _grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


@pytest.mark.parametrize(('shapes', 'gap', 'expected'), [
    ([[(40, 60)]], 5, (50, 70)),
    ([[(40, 60), (40, 60)], [(40, 60), (40, 60)]], 4, (92, 132)),
    ([[(40, 60), (30, 20)], [(10, 60), (50, 30)]], 0, (90, 90)),
])
def test_grid_has_room_for_every_image(shapes, gap, expected):
    grid = image_grid([[_grey(*shape) for shape in row] for row in shapes], gap=gap)
    assert grid.shape == (*expected, 3)
    assert grid.dtype == np.uint8
    area = sum(h * w for row in shapes for h, w in row)
    assert (grid == 128).all(axis=2).sum() == area


def test_headings_stand_above_the_images():
    plain = image_grid([[_grey(100, 200)] * 2])
    titled = image_grid([[_grey(100, 200)] * 2], ['one', 'two\nlines'])
    extra = titled.shape[0] - plain.shape[0]
    assert extra > 20
    np.testing.assert_array_equal(titled[extra:], plain)
    assert titled[:extra].min() < 100


def test_unequal_rows_are_refused():
    with pytest.raises(ValueError, match=r'equal lengths, got \[1, 2\]'):
        image_grid([[_grey(4, 4)], [_grey(4, 4)] * 2])


def test_boxes_have_the_color_of_their_class_where_they_are():
    img = _grey(100, 120)
    drawn = draw_instances(img, np.array([[20, 30, 60, 80], [70., 10, 110, 40]]), ['', ''],
                           [RED, GREEN])
    assert (img == 128).all()
    for (y, x), color in {(30, 40): RED, (80, 40): RED, (50, 20): RED, (50, 60): RED,
                           (25, 70): GREEN, (50, 40): (128, ) * 3}.items():
        assert tuple(drawn[y, x]) == color


@pytest.mark.parametrize('box', [(0, 0, 119, 99), (100, 90, 119, 99), (-20, -5, 10, 3),
                                 (60, 50, 60, 50), (60, 50, 59, 49)])
def test_labels_stay_in_the_image(box):
    drawn = draw_instances(_grey(100, 120), np.array([box]), ['rectangle 0.99'], [RED])
    assert drawn.shape == (100, 120, 3)
    assert (drawn == RED).all(axis=2).sum() > 300


def test_no_boxes_change_nothing():
    np.testing.assert_array_equal(draw_instances(_grey(8, 8), np.zeros((0, 4)), [], []),
                                  _grey(8, 8))


def test_masks_are_tinted():
    mask = np.zeros((1, 50, 50), np.uint8)
    mask[0, 20:30, 20:30] = 1
    drawn = draw_instances(_grey(50, 50), np.array([[5, 5, 45, 45]]), [''], [RED], mask)
    assert tuple(drawn[25, 25]) == (157, 77, 77)
    assert tuple(drawn[35, 35]) == (128, 128, 128)


def test_enlarging_repeats_pixels():
    img = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(enlarge(img, (6, 4)), img.repeat(2, 0).repeat(3, 1))


def test_classes_without_a_palette_get_distinct_colors():
    assert len(set(distinct_colors(80))) == 80


@pytest.mark.parametrize('num_colors', [None, 16])
def test_files_are_png(tmp_path, num_colors):
    save_image(_grey(10, 20), tmp_path / 'new' / 'a.png', num_colors)
    with Image.open(tmp_path / 'new' / 'a.png') as file:
        assert file.format == 'PNG'
        np.testing.assert_array_equal(file.convert('RGB'), _grey(10, 20))
