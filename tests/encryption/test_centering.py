"""Centering: equal to slow references, and what it commutes with."""
from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.encryption import center_patches, mix_sub_patches

EXACT = (0., .25, .5, 1.)  # no rounding of floats can tip these


@st.composite
def images(draw, low: int = 0, high: int = 255):
    """(image, side); flat patches and those at the ends of the range are among them."""
    side, rows, cols = draw(st.integers(1, 7)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    channels = draw(st.sampled_from([(), (1, ), (3, ), (4, ), (5, )]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (rows * side, cols * side, *channels)
    first = rng.integers(low, high + 1, (rows, cols, *channels)).repeat(side, 0).repeat(side, 1)
    spread = draw(st.sampled_from([0, 1, 20, 255]))
    noise = rng.integers(-spread, spread + 1, shape)
    img = np.clip(first + noise, low, high).astype(np.uint8)
    if draw(st.booleans()):
        img = np.asfortranarray(img)
    img.flags.writeable = False
    return img, side


def _patches(img: np.ndarray, side: int):
    """Yield (places, pixels of shape (side, side, C)) of all patches."""
    img = img.reshape(*img.shape[:2], -1)
    for i in range(0, img.shape[0], side):
        for j in range(0, img.shape[1], side):
            places = np.s_[i:i + side, j:j + side]
            yield places, img[places]


def _slow_center(img: np.ndarray, side: int, strength: float, number: type) -> np.ndarray:
    """The first formula, patch by patch, in fractions or in floats of 64 bits."""
    out = np.zeros((*img.shape[:2], img[0, 0].size), np.uint8)
    for places, patch in _patches(img, side):
        for c in range(patch.shape[2]):
            total = sum(patch[..., c].ravel().tolist())
            mean = number(total) / side**2
            offset = math.floor(number(strength) * (128 - mean) + number(.5))
            out[places][..., c] = [[min(max(x + offset, 0), 255) for x in line]
                                   for line in patch[..., c].tolist()]
    return out.reshape(img.shape)


def _slow_normalize(img: np.ndarray, side: int, strength: float) -> np.ndarray:
    """The second formula, patch by patch in float64, before rounding."""
    out = np.zeros((*img.shape[:2], img[0, 0].size))
    for places, patch in _patches(img, side):
        mean = patch.mean((0, 1), dtype=np.float64)
        rms = np.sqrt(((patch - mean)**2).mean())
        out[places] = (patch - mean) * 40 / (rms + 8) + 128 + (1 - strength) * (mean - 128)
    return np.clip(out, 0, 255).reshape(img.shape)


@given(images(), st.sampled_from(EXACT))
def test_equals_the_definition_in_fractions(sample, strength):
    img, side = sample
    before = img.copy()
    result = center_patches(img, side, strength)
    np.testing.assert_array_equal(result, _slow_center(img, side, strength, Fraction))
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(img, before)


@given(images(), st.floats(0, 1))
def test_equals_the_definition_at_any_strength(sample, strength):
    img, side = sample
    np.testing.assert_array_equal(center_patches(img, side, strength),
                                  _slow_center(img, side, strength, float))


@given(images(), st.floats(0, 1))
@settings(max_examples=200)
def test_normalized_equals_the_definition(sample, strength):
    """To the nearest level; the computation in float32 may tip a half."""
    img, side = sample
    before = img.copy()
    result = center_patches(img, side, strength, normalize=True)
    expected = _slow_normalize(img, side, strength)
    assert (np.abs(result - expected) <= .501).all()
    assert result.dtype == np.uint8
    assert result.shape == img.shape
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(img, before)


@pytest.mark.parametrize(('patch', 'strength', 'expected'), [
    ([[0, 0], [0, 0]], 1., [[128, 128], [128, 128]]),
    ([[255, 255], [255, 255]], 1., [[128, 128], [128, 128]]),
    ([[10, 20], [30, 40]], 1., [[113, 123], [133, 143]]),
    ([[10, 20], [30, 41]], 1., [[113, 123], [133, 144]]),  # mean 25.25, offset 102.75
    ([[127, 128], [128, 127]], 1., [[128, 129], [129, 128]]),  # a half goes upwards
    ([[128, 129], [129, 128]], 1., [[128, 129], [129, 128]]),
    ([[0, 0], [0, 255]], 1., [[64, 64], [64, 255]]),  # 319 saturates
    ([[0, 255], [255, 255]], 1., [[0, 192], [192, 192]]),
    ([[10, 20], [30, 40]], .5, [[62, 72], [82, 92]]),  # offset 51.5 -> 52
    ([[10, 20], [30, 40]], 0., [[10, 20], [30, 40]]),
])
def test_known_answers(patch, strength, expected):
    assert center_patches(np.array(patch, np.uint8), 2, strength).tolist() == expected


@pytest.mark.parametrize(('patch', 'strength', 'expected'), [
    ([[99, 99], [99, 99]], 1., [[128, 128], [128, 128]]),
    ([[99, 99], [99, 99]], 0., [[99, 99], [99, 99]]),
    ([[88, 104], [104, 88]], 1., [[108, 148], [148, 108]]),  # 8 * 40 / (8 + 8) = 20
    ([[88, 104], [104, 88]], .5, [[92, 132], [132, 92]]),
    ([[0, 255], [255, 0]], 0., [[90, 165], [165, 90]]),  # 127.5 * 40 / 135.5 = 37.6
])
def test_known_answers_of_normalized(patch, strength, expected):
    assert center_patches(np.array(patch, np.uint8), 2, strength, True).tolist() == expected


@given(images())
def test_strength_zero_is_the_identity(sample):
    np.testing.assert_array_equal(center_patches(sample[0], sample[1], 0.), sample[0])


@given(images(low=64, high=191))
def test_means_go_to_128_where_nothing_saturates(sample):
    result = center_patches(*sample)
    for _, patch in _patches(result, sample[1]):
        assert (np.abs(patch.mean((0, 1)) - 128) <= .5).all()


@given(images(low=90, high=165), st.integers(0, 2**32 - 1), st.booleans())
def test_a_constant_in_a_patch_makes_no_difference(sample, seed, normalize):
    """The thumbnail goes altogether at strength 1, channel by channel."""
    img, side = sample
    rng = np.random.default_rng(seed)
    shape = (img.shape[0] // side, img.shape[1] // side, *img.shape[2:])
    shift = rng.integers(-60, 61, shape).repeat(side, 0).repeat(side, 1)
    moved = center_patches((img + shift).astype(np.uint8), side, 1., normalize).astype(int)
    # float32 adds another mean in the normalized case, which may tip a half.
    assert np.abs(moved - center_patches(img, side, 1., normalize)).max() <= int(normalize)


@given(images(low=64, high=191), st.floats(0, 1))
def test_the_texture_is_kept_where_nothing_saturates(sample, strength):
    img, side = sample
    for places, patch in _patches(center_patches(img, side, strength), side):
        offset = patch.astype(int) - img.reshape(*img.shape[:2], -1)[places]
        assert (offset == offset[0, 0]).all()


@pytest.mark.parametrize('turn', [
    lambda x: x[:, ::-1],
    lambda x: x[::-1],
    lambda x: np.rot90(x, 1),
    lambda x: np.rot90(x, 2),
    lambda x: np.rot90(x, 3),
    lambda x: x.swapaxes(0, 1),
], ids=['horizontal', 'vertical', 'rot90', 'rot180', 'rot270', 'transpose'])
@given(sample=images(), strength=st.floats(0, 1), normalize=st.booleans())
@settings(max_examples=40)
def test_commutes_with_flips_and_turns(turn, sample, strength, normalize):
    img, side = sample
    np.testing.assert_array_equal(center_patches(turn(img), side, strength, normalize),
                                  turn(center_patches(img, side, strength, normalize)))


@given(images(), st.floats(0, 1), st.booleans(), st.data())
def test_patches_are_centered_apart(sample, strength, normalize, data):
    """A crop on patch borders comes out the same before and after centering."""
    img, side = sample
    places = []
    for length in img.shape[:2]:
        start = data.draw(st.integers(0, length // side - 1))
        stop = data.draw(st.integers(start + 1, length // side))
        places.append(slice(start * side, stop * side))
    places = tuple(places)
    np.testing.assert_array_equal(center_patches(img[places], side, strength, normalize),
                                  center_patches(img, side, strength, normalize)[places])


@given(images(), st.floats(0, 1))
def test_channels_are_centered_apart(sample, strength):
    img, side = sample
    img = img.reshape(*img.shape[:2], -1)
    one_by_one = [center_patches(img[..., c], side, strength) for c in range(img.shape[2])]
    np.testing.assert_array_equal(center_patches(img, side, strength), np.stack(one_by_one, -1))


def test_large_patches_do_not_overflow():
    img = np.random.default_rng(0).integers(250, 256, (512, 512), dtype=np.uint8)
    np.testing.assert_array_equal(
        center_patches(img, 512), img - (math.floor(img.mean() - 128 + .5)))
    assert np.abs(center_patches(img, 512, 1., True)
                  - _slow_normalize(img, 512, 1.)).max() <= .501


def test_after_mixing_no_thumbnail_is_left():
    img = np.add.outer(np.arange(64), np.arange(96)).astype(np.uint8)
    mixed = mix_sub_patches(img, 16, 2)
    means = center_patches(mixed, 8).reshape(4, 8, 6, 8).mean((1, 3))
    assert np.ptp(mixed.reshape(4, 8, 6, 8).mean((1, 3))) == 128
    assert np.ptp(means) < 1


@pytest.mark.parametrize('strength', [-1e-9, 1.0001, 2, -1., float('nan'), float('inf')])
@pytest.mark.parametrize('normalize', [False, True])
def test_strength_out_of_range(strength, normalize):
    with pytest.raises(ValueError, match=rf'between 0 and 1, got {strength}'):
        center_patches(np.zeros((16, 16), np.uint8), 16, strength, normalize)


@pytest.mark.parametrize('dtype', [np.uint16, np.int8, np.int64, np.float32, bool])
@pytest.mark.parametrize('strength', [0., 1.])
def test_only_8_bits(dtype, strength):
    with pytest.raises(TypeError, match=rf'8-bit images, got {np.dtype(dtype)}'):
        center_patches(np.zeros((16, 16), dtype), 16, strength)


@pytest.mark.parametrize('strength', [0., 1.])
@pytest.mark.parametrize(('shape', 'message'), [
    ((250, 256, 3), 'image height 250 is not a multiple of the patch height 16'),
    ((256, 100), 'image width 100 is not a multiple of the patch width 16'),
])
def test_broken_patches(shape, message, strength):
    with pytest.raises(ValueError, match=message):
        center_patches(np.zeros(shape, np.uint8), 16, strength)
