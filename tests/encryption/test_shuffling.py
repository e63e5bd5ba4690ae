"""Shuffling, eroding and blanking of patches against slow references."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.encryption import (
    blank_patches,
    erode_patches,
    mix_sub_patches,
    shuffle_patches,
    unshuffle_patches,
)

DTYPES = (np.uint8, np.uint16, np.float32)
LAYOUTS = ('plain', 'flipped', 'transposed', 'strided', 'fortran')


def _as_view(img: np.ndarray, layout: str) -> np.ndarray:
    """The same pixels in another memory layout, which nobody may write to."""
    if layout == 'flipped':
        img = np.ascontiguousarray(img[:, ::-1])[:, ::-1]
    elif layout == 'transposed':
        img = np.ascontiguousarray(img.swapaxes(0, 1)).swapaxes(0, 1)
    elif layout == 'strided':
        img = np.repeat(np.repeat(img, 2, 0), 3, 1)[::2, ::3]
    elif layout == 'fortran':
        img = np.asfortranarray(img)
    img.flags.writeable = False
    return img


@st.composite
def images(draw):
    """(image, side, number of patches)."""
    side, rows, cols = draw(st.integers(1, 9)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    channels = draw(st.sampled_from([(), (1, ), (3, ), (4, ), (5, )]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(DTYPES))
    img = rng.integers(0, 256, (rows * side, cols * side, *channels)).astype(dtype)
    return _as_view(img, draw(st.sampled_from(LAYOUTS))), side, rows * cols


@st.composite
def shuffled(draw):
    """(image, side, order)."""
    img, side, count = draw(images())
    order = draw(st.permutations(range(count)))
    return img, side, np.array(order, draw(st.sampled_from([np.int64, np.int32, np.uint8])))


def _patch(img: np.ndarray, side: int, k: int) -> np.ndarray:
    i, j = divmod(int(k), img.shape[1] // side)
    return img[i * side:(i + 1) * side, j * side:(j + 1) * side]


def _slow_shuffle(img: np.ndarray, side: int, order: np.ndarray) -> np.ndarray:
    """The definition, patch by patch."""
    out = np.zeros(img.shape, img.dtype)
    for new, old in enumerate(order):
        _patch(out, side, new)[:] = _patch(img, side, old)
    return out


def _slow_erode(img: np.ndarray, side: int, border: int, value: int) -> np.ndarray:
    """The definition, pixel by pixel."""
    out = np.array(img)
    for y, x in np.ndindex(img.shape[:2]):
        if not all(border <= place % side < side - border for place in (y, x)):
            out[y, x] = value
    return out


@given(shuffled())
@settings(max_examples=200)
def test_equals_the_definition(sample):
    img, side, order = sample
    before, order_before = img.copy(), order.copy()
    result = shuffle_patches(img, side, order)
    np.testing.assert_array_equal(result, _slow_shuffle(img, side, order))
    assert (result.dtype, result.shape) == (img.dtype, img.shape)
    assert result.flags.c_contiguous
    assert result.flags.writeable
    assert not np.shares_memory(result, img)
    np.testing.assert_array_equal(img, before)
    np.testing.assert_array_equal(order, order_before)


@given(shuffled())
@settings(max_examples=200)
def test_unshuffle_is_the_inverse(sample):
    img, side, order = sample
    restored = unshuffle_patches(shuffle_patches(img, side, order), side, order)
    assert restored.dtype == img.dtype
    np.testing.assert_array_equal(restored, img)
    np.testing.assert_array_equal(
        shuffle_patches(unshuffle_patches(img, side, order), side, order), img)


@given(shuffled(), st.data())
def test_orders_compose(sample, data):
    img, side, first = sample
    second = np.array(data.draw(st.permutations(range(len(first)))))
    np.testing.assert_array_equal(
        shuffle_patches(shuffle_patches(img, side, first), side, second),
        shuffle_patches(img, side, first[second]))


@given(shuffled())
def test_the_identity_changes_nothing(sample):
    img, side, order = sample
    np.testing.assert_array_equal(shuffle_patches(img, side, np.sort(order)), img)
    np.testing.assert_array_equal(unshuffle_patches(img, side, np.sort(order)), img)


@given(shuffled())
def test_channels_are_shuffled_alike(sample):
    img, side, order = sample
    img = img.reshape(*img.shape[:2], -1)
    one_by_one = [shuffle_patches(img[..., c], side, order) for c in range(img.shape[2])]
    np.testing.assert_array_equal(shuffle_patches(img, side, order), np.stack(one_by_one, -1))


@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 4]), st.data())
def test_commutes_with_mixing(rows, cols, grid, data):
    img = np.random.default_rng(rows * cols).integers(0, 256, (rows * 8, cols * 8, 3), np.uint8)
    order = np.array(data.draw(st.permutations(range(rows * cols))))
    np.testing.assert_array_equal(
        mix_sub_patches(shuffle_patches(img, 8, order), 8, grid),
        shuffle_patches(mix_sub_patches(img, 8, grid), 8 // grid, order))


@pytest.mark.parametrize('dtype', ['>u2', '<f8', 'i1', '?', 'c8'])
def test_bits_are_moved_whatever_they_mean(dtype):
    bits = np.random.default_rng(0).integers(0, 2, (6, 8, 3, 8), np.uint8)
    img = np.frombuffer(bits.tobytes(), dtype).reshape(6, 8, -1)
    order = np.array([5, 0, 11, 7, 2, 9, 4, 1, 10, 3, 8, 6])
    result = shuffle_patches(img, 2, order)
    assert result.dtype == img.dtype
    assert result.tobytes() == _slow_shuffle(img, 2, order).tobytes()


def test_not_a_number_keeps_its_bits():
    img = np.arange(0x7fc00000, 0x7fc00000 + 64, dtype=np.uint32).view(np.float32).reshape(8, 8)
    order = np.array([2, 0, 3, 1])
    assert shuffle_patches(img, 4, order).tobytes() == _slow_shuffle(
        img.view(np.uint32), 4, order).tobytes()


def test_an_order_may_be_a_list():
    img = np.arange(64, dtype=np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(shuffle_patches(img, 4, [3, 2, 1, 0]),
                                  shuffle_patches(img, 4, np.array([3, 2, 1, 0])))


@pytest.mark.parametrize('dtype', ['i1', 'u1', '<i4', '>i8', 'u8'])
def test_an_order_may_be_of_any_integers(dtype):
    img = np.arange(64, dtype=np.uint8).reshape(8, 8)
    order = np.array([2, 0, 3, 1])
    for function in (shuffle_patches, unshuffle_patches):
        np.testing.assert_array_equal(function(img, 4, order.astype(dtype)),
                                      function(img, 4, order))


NOT_ONE = 'the order is not a permutation of 4 patches'


@pytest.mark.parametrize('function', [shuffle_patches, unshuffle_patches])
@pytest.mark.parametrize(('order', 'message'), [
    ([0, 1, 1, 2], NOT_ONE),
    ([3, 3, 3, 3], NOT_ONE),
    ([0, 1, 2, 4], NOT_ONE),
    ([1, 2, 3, 4], NOT_ONE),
    ([-1, 0, 1, 2], NOT_ONE),
    ([0, 1, 2, -4], NOT_ONE),
    ([0, 1, 2, 10**15], NOT_ONE),
    (np.array([0, 1, 2, 2**63 + 3], np.uint64), NOT_ONE),
    ([], r'the image has 4 patches, the order is of float64 and shape \(0,\)'),
    ([0, 1, 2], r'has 4 patches, the order is of int64 and shape \(3,\)'),
    ([0, 1, 2, 3, 4], r'has 4 patches, the order is of int64 and shape \(5,\)'),
    ([[0, 1], [2, 3]], r'has 4 patches, the order is of int64 and shape \(2, 2\)'),
    (0, r'has 4 patches, the order is of int64 and shape \(\)'),
    ([0., 1., 2., 3.], 'has 4 patches, the order is of float64'),
    ([False, True, True, False], 'has 4 patches, the order is of bool'),
    (None, 'has 4 patches, the order is of object'),
])
def test_wrong_orders(function, order, message):
    with pytest.raises(ValueError, match=message):
        function(np.zeros((32, 32, 3), np.uint8), 16, order)


@pytest.mark.parametrize('function', [
    shuffle_patches, unshuffle_patches, lambda x, side, order: erode_patches(x, side, 1),
    blank_patches], ids=['shuffle', 'unshuffle', 'erode', 'blank'])
@pytest.mark.parametrize(('shape', 'message'), [
    ((250, 256, 3), 'image height 250 is not a multiple of the patch height 16'),
    ((256, 100), 'image width 100 is not a multiple of the patch width 16'),
])
def test_broken_patches(function, shape, message):
    with pytest.raises(ValueError, match=message):
        function(np.zeros(shape, np.uint8), 16, np.arange(240))


@given(images(), st.data())
@settings(max_examples=200)
def test_erode_equals_the_definition(sample, data):
    img, side, _ = sample
    border = data.draw(st.integers(0, (side - 1) // 2))
    value = data.draw(st.sampled_from([0, 128, 255]))
    before = img.copy()
    result = erode_patches(img, side, border, value)
    np.testing.assert_array_equal(result, _slow_erode(img, side, border, value))
    assert (result.dtype, result.shape) == (img.dtype, img.shape)
    np.testing.assert_array_equal(img, before)
    assert (result is img) == (border == 0)


def test_erode_fills_with_the_level_of_centered_patches():
    assert erode_patches(np.zeros((4, 4), np.uint8), 4, 1).tolist() == [
        [128] * 4, [128, 0, 0, 128], [128, 0, 0, 128], [128] * 4]


@given(shuffled(), st.data())
def test_erode_commutes_with_shuffling(sample, data):
    img, side, order = sample
    border = data.draw(st.integers(0, (side - 1) // 2))
    np.testing.assert_array_equal(
        erode_patches(shuffle_patches(img, side, order), side, border),
        shuffle_patches(erode_patches(img, side, border), side, order))


@pytest.mark.parametrize(('side', 'border'), [
    (16, 8), (16, 9), (16, 100), (7, 4), (1, 1), (16, -1)])
def test_erode_refuses_to_leave_nothing(side, border):
    message = (f'border {border} does not leave anything of a patch of {side} pixels; '
               f'it must be at least 0 and less than {side / 2:g}')
    with pytest.raises(ValueError, match=message):
        erode_patches(np.zeros((2 * side, side), np.uint8), side, border)


@pytest.mark.parametrize(('side', 'border'), [(16, 7), (7, 3), (1, 0), (2, 0)])
def test_the_largest_border(side, border):
    kept = erode_patches(np.zeros((side, side), np.uint8), side, border) == 0
    assert kept.sum() == (side - 2 * border)**2


@given(images(), st.data())
@settings(max_examples=200)
def test_blank_equals_the_definition(sample, data):
    img, side, count = sample
    which = data.draw(st.lists(st.integers(0, count - 1), unique=True))
    value = data.draw(st.sampled_from([0, 128, 255]))
    before, expected = img.copy(), np.array(img)
    for k in which:
        _patch(expected, side, k)[:] = value
    result = blank_patches(img, side, np.array(which, np.int64), value)
    np.testing.assert_array_equal(result, expected)
    assert (result.dtype, result.shape) == (img.dtype, img.shape)
    np.testing.assert_array_equal(img, before)
    assert (result is img) == (not which)


def test_blank_refuses_patches_that_are_not_there():
    with pytest.raises(IndexError):
        blank_patches(np.zeros((8, 8), np.uint8), 4, np.array([4]))
