"""Mixing: exact against a slow reference, and what it commutes with."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.encryption import mix_sub_patches, pad_to_patches


def _slow_mix(img: np.ndarray, patch: int, grid: int) -> np.ndarray:
    """The definition, pixel by pixel in Python integers: halves are rounded up."""
    side, count = patch // grid, grid * grid
    out = np.zeros((img.shape[0] // grid, img.shape[1] // grid, *img.shape[2:]), np.uint8)
    for place in np.ndindex(out.shape):
        (i, u), (j, v) = divmod(place[0], side), divmod(place[1], side)
        total = sum(
            int(img[(i * patch + a * side + u, j * patch + b * side + v, *place[2:])])
            for a in range(grid) for b in range(grid))
        out[place] = (2 * total + count) // (2 * count)
    return out


@st.composite
def mixable(draw):
    """(image, patch_size, grid) of at most a few patches."""
    grid = draw(st.integers(1, 6))
    patch = grid * draw(st.integers(1, 4))
    rows = draw(st.integers(1, 4))
    cols = draw(st.integers(1, 4))
    channels = draw(st.sampled_from([(), (1, ), (3, ), (4, ), (5, )]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low = draw(st.sampled_from([0, 250, 255]))  # near the top, where 16 bits could overflow
    img = rng.integers(low, 256, (rows * patch, cols * patch, *channels), dtype=np.uint8)
    return img, patch, grid


@given(mixable())
@settings(deadline=None)
def test_equals_the_definition(sample):
    img, patch, grid = sample
    before = img.copy()
    mixed = mix_sub_patches(img, patch, grid)
    np.testing.assert_array_equal(mixed, _slow_mix(img, patch, grid))
    assert mixed.dtype == np.uint8
    assert mixed.flags.c_contiguous
    np.testing.assert_array_equal(img, before)


@pytest.mark.parametrize('grid', [8, 15, 16, 17, 24, 32])
@pytest.mark.parametrize('value', [0, 254, 255])
def test_large_grids_do_not_overflow(grid, value):
    img = np.full((grid, 2 * grid, 3), value, np.uint8)
    assert (mix_sub_patches(img, grid, grid) == value).all()
    img = np.random.default_rng(grid).integers(200, 256, (2 * grid, grid, 2), dtype=np.uint8)
    np.testing.assert_array_equal(mix_sub_patches(img, grid, grid), _slow_mix(img, grid, grid))


@pytest.mark.parametrize(('total', 'expected'), [(0, 0), (1, 0), (2, 1), (3, 1), (5, 1), (6, 2)])
def test_rounds_to_nearest_and_halves_up(total, expected):
    img = np.zeros((2, 2), np.uint8)
    img[1, 0] = total
    assert mix_sub_patches(img, 2, 2).tolist() == [[expected]]


@given(mixable(), st.sampled_from(['rows', 'columns', 'both', 'transposed', 'strided', 'fortran']))
@settings(deadline=None)
def test_memory_layout_does_not_matter(sample, layout):
    img, patch, grid = sample
    view = {
        'rows': lambda x: x[::-1].copy()[::-1],
        'columns': lambda x: x[:, ::-1].copy()[:, ::-1],
        'both': lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
        'transposed': lambda x: x.swapaxes(0, 1).copy().swapaxes(0, 1),
        'strided': lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        'fortran': np.asfortranarray,
    }[layout](img)
    mixed = mix_sub_patches(view, patch, grid)
    np.testing.assert_array_equal(mixed, mix_sub_patches(img, patch, grid))
    assert mixed.flags.c_contiguous


def test_a_read_only_image_is_fine():
    img = np.arange(64, dtype=np.uint8).reshape(8, 8)
    img.flags.writeable = False
    np.testing.assert_array_equal(mix_sub_patches(img, 4, 2), _slow_mix(img, 4, 2))


@given(mixable())
@settings(deadline=None)
def test_channels_are_mixed_apart(sample):
    img, patch, grid = sample
    img = img.reshape(*img.shape[:2], -1)
    one_by_one = [mix_sub_patches(img[..., c], patch, grid) for c in range(img.shape[2])]
    np.testing.assert_array_equal(mix_sub_patches(img, patch, grid), np.stack(one_by_one, -1))


@given(mixable(), st.data())
@settings(deadline=None)
def test_patches_are_mixed_apart(sample, data):
    """A crop on patch borders comes out the same before and after mixing."""
    img, p, grid = sample
    top = data.draw(st.integers(0, img.shape[0] // p - 1))
    left = data.draw(st.integers(0, img.shape[1] // p - 1))
    bottom = data.draw(st.integers(top + 1, img.shape[0] // p))
    right = data.draw(st.integers(left + 1, img.shape[1] // p))
    s = p // grid
    np.testing.assert_array_equal(
        mix_sub_patches(img[top * p:bottom * p, left * p:right * p], p, grid),
        mix_sub_patches(img, p, grid)[top * s:bottom * s, left * s:right * s])


@pytest.mark.parametrize('turn', [
    lambda x: x[:, ::-1],
    lambda x: x[::-1],
    lambda x: x[::-1, ::-1],
    lambda x: np.rot90(x, 1),
    lambda x: np.rot90(x, 2),
    lambda x: np.rot90(x, 3),
    lambda x: x.swapaxes(0, 1),
], ids=['horizontal', 'vertical', 'both', 'rot90', 'rot180', 'rot270', 'transpose'])
@given(sample=mixable())
@settings(deadline=None, max_examples=40)
def test_commutes_with_flips_and_turns(turn, sample):
    img, patch, grid = sample
    np.testing.assert_array_equal(
        mix_sub_patches(turn(img), patch, grid), turn(mix_sub_patches(img, patch, grid)))


@given(mixable(), st.data())
@settings(deadline=None)
def test_commutes_with_shuffling_of_patches(sample, data):
    img, p, grid = sample
    rows, cols, s = img.shape[0] // p, img.shape[1] // p, p // grid
    order = data.draw(st.permutations(range(rows * cols)))

    def shuffle(x: np.ndarray, size: int) -> np.ndarray:
        out = np.empty_like(x)
        for new, old in enumerate(order):
            (i, j), (k, m) = divmod(new, cols), divmod(old, cols)
            out[i * size:(i + 1) * size, j * size:(j + 1) * size] = \
                x[k * size:(k + 1) * size, m * size:(m + 1) * size]
        return out

    np.testing.assert_array_equal(
        mix_sub_patches(shuffle(img, p), p, grid), shuffle(mix_sub_patches(img, p, grid), s))


@given(mixable())
@settings(deadline=None)
def test_commutes_with_normalization(sample):
    """To half a level of the one rounding, and exactly where nothing is rounded."""
    img, patch, grid = sample
    img = img.reshape(*img.shape[:2], -1)
    # Whole means and powers of two, so that float64 computes without error.
    mean = np.array([123., 116., 103., 7., 0.])[:img.shape[2]]
    std = np.array([64., 32., 2., 4., 8.])[:img.shape[2]]
    after = (mix_sub_patches(img, patch, grid) - mean) / std
    before = _float_mix((img - mean) / std, patch, grid)
    assert (np.abs(after - before) <= .5 / std + 1e-9).all()
    img = img // grid**2 * grid**2  # all sums are divisible now
    np.testing.assert_array_equal((mix_sub_patches(img, patch, grid) - mean) / std,
                                  _float_mix((img - mean) / std, patch, grid))


def _float_mix(img: np.ndarray, patch: int, grid: int) -> np.ndarray:
    rows, cols, side = img.shape[0] // patch, img.shape[1] // patch, patch // grid
    parts = img.reshape(rows, grid, side, cols, grid, side, -1)
    return parts.mean((1, 4)).reshape(rows * side, cols * side, -1)


def test_does_not_commute_with_shifts_off_the_patch_borders():
    """The limit of what is claimed above, so that nobody augments sealed data with it."""
    img = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    shifted = mix_sub_patches(np.roll(img, 2, axis=1), 16, 2)
    assert not np.array_equal(shifted, np.roll(mix_sub_patches(img, 16, 2), 1, axis=1))


def test_grid_one_keeps_the_pixels():
    img = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)[:, ::-1]
    mixed = mix_sub_patches(img, 16, 1)
    np.testing.assert_array_equal(mixed, img)
    assert mixed.flags.c_contiguous


@pytest.mark.parametrize('dtype', [np.uint16, np.int8, np.int64, np.float32, bool])
def test_only_8_bits(dtype):
    with pytest.raises(TypeError, match=rf'got {np.dtype(dtype)}; convert to uint8'):
        mix_sub_patches(np.zeros((16, 16), dtype))


@pytest.mark.parametrize(('shape', 'args', 'message'), [
    ((250, 256), (16, 2), 'image height 250 is not a multiple of the patch height 16'),
    ((256, 250, 3), (16, 1), 'image width 250 is not a multiple of the patch width 16'),
    ((256, 256), (16, 3), r'grid 3 does not divide .* 16; choose one of \[1, 2, 4, 8, 16\]'),
    ((256, 256), (16, 0), 'grid must be a positive integer'),
])
def test_errors_say_by_how_much(shape, args, message):
    with pytest.raises(ValueError, match=message):
        mix_sub_patches(np.zeros(shape, np.uint8), *args)


def test_the_remedy_of_the_error_works():
    img = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    assert mix_sub_patches(pad_to_patches(img, 16), 16, 2).shape == (32, 40, 3)
