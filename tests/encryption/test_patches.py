"""The patch algebra: cutting, putting together and padding."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.encryption import (
    check_grid,
    merge_patches,
    pad_to_patches,
    padded_shape,
    split_patches,
)

DTYPES = (np.uint8, np.uint16, np.float32, np.float64)


@st.composite
def images(draw, whole: bool = True):
    """(image, patch_size); sides are whole patches, or any of at least one patch."""
    patch = draw(st.integers(1, 12))
    if whole:
        height, width = (patch * draw(st.integers(1, 5)) for _ in range(2))
    else:
        height, width = (draw(st.integers(patch, 5 * patch)) for _ in range(2))
    channels = draw(st.sampled_from([(), (1, ), (3, ), (4, ), (5, )]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    img = rng.integers(0, 256, (height, width, *channels)).astype(draw(st.sampled_from(DTYPES)))
    layout = draw(st.sampled_from(['plain', 'flipped', 'transposed', 'strided']))
    return _as_view(img, layout), patch


def _as_view(img: np.ndarray, layout: str) -> np.ndarray:
    """The same pixels in another memory layout."""
    if layout == 'flipped':
        return np.ascontiguousarray(img[:, ::-1])[:, ::-1]
    if layout == 'transposed':
        return np.ascontiguousarray(img.swapaxes(0, 1)).swapaxes(0, 1)
    if layout == 'strided':
        return np.repeat(np.repeat(img, 2, 0), 3, 1)[::2, ::3]
    return img


@given(images())
def test_split_has_patch_i_j_at_i_j(sample):
    img, p = sample
    patches = split_patches(img, p)
    rows, cols = img.shape[0] // p, img.shape[1] // p
    assert patches.shape == (rows, cols, p, p, img[0, 0].size)
    assert patches.dtype == img.dtype
    for i in range(rows):
        for j in range(cols):
            patch = img[i * p:(i + 1) * p, j * p:(j + 1) * p].reshape(p, p, -1)
            np.testing.assert_array_equal(patches[i, j], patch)


@given(images())
def test_merge_is_the_inverse_of_split(sample):
    img, patch = sample
    merged = merge_patches(split_patches(img, patch))
    assert merged.dtype == img.dtype
    np.testing.assert_array_equal(merged, img.reshape(*img.shape[:2], -1))


@given(images())
def test_split_is_the_inverse_of_merge(sample):
    patches = split_patches(*sample)
    np.testing.assert_array_equal(split_patches(merge_patches(patches), sample[1]), patches)


def test_split_of_a_contiguous_image_is_a_view():
    img = np.zeros((32, 48, 3), np.uint8)
    split_patches(img, 16)[1, 2] = 7
    assert (img[16:, 32:] == 7).all()
    assert img.sum() == 7 * 16 * 16 * 3


@pytest.mark.parametrize(('shape', 'message'), [
    ((250, 256, 3), 'image height 250 is not a multiple of the patch height 16'),
    ((256, 100), 'image width 100 is not a multiple of the patch width 16'),
])
def test_split_refuses_broken_patches(shape, message):
    with pytest.raises(ValueError, match=message):
        split_patches(np.zeros(shape, np.uint8), 16)


@given(images(whole=False), st.integers(0, 255))
def test_pad_adds_less_than_a_patch_at_the_right_and_bottom(sample, value):
    img, p = sample
    height, width = img.shape[:2]
    padded = pad_to_patches(img, p, value)
    assert padded.dtype == img.dtype
    assert padded.shape[2:] == img.shape[2:]
    assert padded.shape[:2] == padded_shape(img.shape, p)
    for old, new in zip((height, width), padded.shape[:2], strict=True):
        assert new % p == 0
        assert 0 <= new - old < p
    np.testing.assert_array_equal(padded[:height, :width], img)
    assert (padded[height:] == value).all()
    assert (padded[:, width:] == value).all()


@given(images())
def test_pad_returns_the_very_image_where_nothing_is_missing(sample):
    img, patch = sample
    assert pad_to_patches(img, patch) is img


@pytest.mark.parametrize('shape', [(15, 64), (64, 15, 3), (0, 64)])
def test_an_image_smaller_than_a_patch_is_an_error_with_the_remedy(shape):
    message = (f'height {shape[0]} and width {shape[1]} is smaller than one 16x16 patch; '
               'resize it first or choose a smaller patch_size')
    with pytest.raises(ValueError, match=message):
        pad_to_patches(np.zeros(shape, np.uint8), 16)


@given(st.integers(1, 64), st.integers(1, 64))
@settings(max_examples=200)
def test_check_grid_accepts_divisors_alone(patch, grid):
    if patch % grid == 0:
        assert check_grid(patch, grid) * grid == patch
    else:
        with pytest.raises(ValueError, match=rf'grid {grid} does not divide .* {patch}'):
            check_grid(patch, grid)


def test_check_grid_names_the_choices():
    with pytest.raises(ValueError, match=r'choose one of \[1, 2, 3, 4, 6, 12\]'):
        check_grid(12, 5)


def test_check_grid_takes_numpy_integers():
    assert check_grid(np.int64(16), np.int32(4)) == 4


@pytest.mark.parametrize(('args', 'name'), [
    ((0, 1), 'patch_size'),
    ((-16, 2), 'patch_size'),
    ((16., 2), 'patch_size'),
    ((True, 1), 'patch_size'),
    ((16, 0), 'grid'),
    ((16, -2), 'grid'),
    ((16, 2.), 'grid'),
    ((16, True), 'grid'),
    ((16, '2'), 'grid'),
    ((16, None), 'grid'),
])
def test_check_grid_refuses_what_is_not_a_positive_integer(args, name):
    with pytest.raises(ValueError, match=rf'{name} must be a positive integer'):
        check_grid(*args)
