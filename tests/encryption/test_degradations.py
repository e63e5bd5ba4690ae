"""Baselines: against slow references, what commutes, and as schemes."""
from __future__ import annotations

import json
from dataclasses import asdict
from statistics import NormalDist

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.encryption import (
    BASELINES,
    SCHEMES,
    BaselineScheme,
    Key,
    Scheme,
    add_noise,
    blur,
    downsample,
    make_scheme,
    mix_sub_patches,
    pad_to_patches,
    pixelate,
    read_scheme,
    shuffle_patches,
    unshuffle_patches,
)
from mmppvit.encryption.degradations import gaussian_weights, noise_levels

KEY = Key(bytes(range(32)))
SEED = bytes(range(32, 64))
TURNS = [lambda x: x[::-1], lambda x: x[:, ::-1], np.rot90, lambda x: x.swapaxes(0, 1)]
STRENGTH = dict(blur=1.5, pixelate=4, noise=20.)


@st.composite
def images(draw, most: int = 20, whole: int = 1):
    """Any uint8 image whose sides are multiples of ``whole``; read only."""
    shape = tuple(whole * draw(st.integers(1, max(1, most // whole))) for _ in range(2))
    shape += draw(st.sampled_from([(), (1, ), (3, )]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    img = rng.integers(0, 256, shape, dtype=np.uint8)
    img.flags.writeable = False
    return img


def _scheme(name: str, **options) -> BaselineScheme:
    options = dict(grid=2 if 'downsample' in name else 1, strength=STRENGTH.get(name, 0)) | options
    return BaselineScheme(name, **options)


def _slow_blur(img: np.ndarray, sigma: float) -> np.ndarray:
    """One pixel at a time, with Python's integers."""
    weights = [int(w) for w in gaussian_weights(sigma)]
    r, (height, width) = len(weights) // 2, img.shape[:2]

    def at(k: int, size: int) -> int:
        k %= 2 * size
        return k if k < size else 2 * size - 1 - k

    out = np.empty_like(img).reshape(height, width, -1)
    values = img.reshape(height, width, -1).astype(object)
    for y in range(height):
        for x in range(width):
            total = sum(wy * wx * values[at(y + i - r, height), at(x + j - r, width)]
                        for i, wy in enumerate(weights) for j, wx in enumerate(weights))
            out[y, x] = (total + 2**23) // 2**24
    return out.reshape(img.shape)


@given(images(most=9), st.sampled_from([.2, .7, 1., 1.6]))
@settings(max_examples=40)
def test_blur_equals_the_slow_one(img, sigma):
    result = blur(img, sigma)
    np.testing.assert_array_equal(result, _slow_blur(img, sigma))
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous


@pytest.mark.parametrize('sigma', [.5, 1, 3, 8.5, 30])
def test_blur_is_that_of_opencv_up_to_rounding(sigma):
    img = np.random.default_rng(0).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    radius = len(gaussian_weights(sigma)) // 2
    expected = cv2.GaussianBlur(img.astype(np.float64), (2 * radius + 1, ) * 2, sigma,
                                borderType=cv2.BORDER_REFLECT)
    assert np.abs(blur(img, sigma) - expected).max() < 1.5


@pytest.mark.parametrize('sigma', [.01, .3, 1, 2.5, 10, 57, 100])
def test_weights_of_the_blur(sigma):
    weights = gaussian_weights(sigma)
    assert weights.sum() == 4096
    assert len(weights) % 2 == 1
    assert (weights > 0).all()
    np.testing.assert_array_equal(weights, weights[::-1])
    if sigma > .5:
        offsets = np.arange(len(weights)) - len(weights) // 2
        assert np.sqrt((weights * offsets**2).sum() / 4096) == pytest.approx(sigma, rel=.04)


@given(images(), st.sampled_from([.5, 2., 9.]), st.sampled_from(TURNS))
def test_blur_commutes_with_flips_and_turns(img, sigma, turn):
    np.testing.assert_array_equal(blur(turn(img), sigma), turn(blur(img, sigma)))


def test_extremes_do_not_overflow():
    for value in (0, 255):
        img = np.full((40, 30), value, np.uint8)
        for result in (blur(img, .01), blur(img, 100), pixelate(img, 7), downsample(img, 5)):
            assert (result == value).all()


@given(images(), st.integers(1, 25))
def test_pixelate_equals_the_slow_one(img, block):
    expected = img.copy()
    for top in range(0, img.shape[0], block):
        for left in range(0, img.shape[1], block):
            part = expected[top:top + block, left:left + block]
            count = part.shape[0] * part.shape[1]
            part[...] = (part.sum((0, 1), dtype=int) + count // 2) // count
    result = pixelate(img, block)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(pixelate(result, block), result)


@given(images(whole=4), st.sampled_from(TURNS))
def test_whole_blocks_commute_with_flips_and_turns(img, turn):
    np.testing.assert_array_equal(pixelate(turn(img), 4), turn(pixelate(img, 4)))
    np.testing.assert_array_equal(downsample(turn(img), 4), turn(downsample(img, 4)))


@given(images(whole=6), st.sampled_from([1, 2, 3, 6]))
def test_downsample_equals_the_slow_one_and_pixelation(img, factor):
    height, width = (side // factor for side in img.shape[:2])
    blocks = img.reshape(height, factor, width, factor, *img.shape[2:]).astype(int)
    expected = (blocks.sum((1, 3)) + factor**2 // 2) // factor**2
    result = downsample(img, factor)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(pixelate(img, factor)[::factor, ::factor], result)


def test_downsample_is_not_mixing():
    img = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    assert (downsample(img, 2) != mix_sub_patches(img, 16, 2)).any()


@pytest.mark.parametrize('sigma', [.4, 2., 25., 255.])
def test_noise_is_gaussian(sigma):
    levels = noise_levels(sigma).astype(int)
    assert (np.diff(levels) >= 0).all()
    np.testing.assert_allclose(levels, -levels[::-1], atol=1)  # symmetric up to the resolution
    assert abs(levels.mean()) < 1e-3 * max(sigma, 1)
    assert levels.std() == pytest.approx(np.sqrt(sigma**2 + 1 / 12), rel=.01 if sigma > 1 else .1)


def test_noise_is_that_of_its_seed_and_nothing_else():
    img = np.full((200, 300, 3), 128, np.uint8)
    result = add_noise(img, 20, SEED)
    np.testing.assert_array_equal(result, add_noise(img, 20, SEED))
    other = add_noise(img, 20, bytes(32))
    noise, different = result.astype(int) - 128, other.astype(int) - 128
    assert noise.std() == pytest.approx(20, rel=.01)
    assert abs(noise.mean()) < .2
    assert abs(np.corrcoef(noise.ravel(), different.ravel())[0, 1]) < .01
    assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < .01
    np.testing.assert_array_equal(add_noise(img + 20, 20, SEED), result + 20)
    assert add_noise(np.zeros((9, 9), np.uint8), 255, SEED).min() == 0


def test_the_same_noise_on_every_platform():
    found = add_noise(np.full(8, 128, np.uint8), 20, SEED)
    np.testing.assert_array_equal(found, [116, 156, 111, 105, 102, 137, 148, 156])


@pytest.mark.parametrize('sigma', [2.5, 40])
def test_noise_is_the_rounded_inverse_of_the_normal_distribution(sigma):
    inverse = NormalDist(0, sigma).inv_cdf
    expected = np.array([round(inverse((k + .5) / 65536)) for k in range(65536)])
    found = noise_levels(sigma)
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < .005


@pytest.mark.parametrize(('function', 'arguments'), [
    (blur, (1., )), (pixelate, (4, )), (downsample, (2, )), (add_noise, (1., SEED))])
def test_only_8_bit_images(function, arguments):
    with pytest.raises(TypeError, match='8-bit images, got float32'):
        function(np.zeros((8, 8), np.float32), *arguments)


# --- as schemes ----------------------------------------------------------------------------------


@pytest.mark.parametrize('name', BASELINES)
@pytest.mark.parametrize('shape', [(50, 70, 3), (48, 64), (16, 16, 3)])
def test_schemes_equal_their_steps(name, shape):
    img = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    scheme = _scheme(name)
    result = scheme.encrypt(img, KEY if scheme.shuffles else None, 'a', 114)
    expected = dict(blur=lambda: blur(img, 1.5), pixelate=lambda: pixelate(img, 4)).get(
        name, lambda: img)()
    expected = pad_to_patches(expected, 16, 114)
    if scheme.shrinks:
        expected = downsample(expected, 2)
    if name == 'noise':
        assert (result.img[50:] == 114).all()
        assert (result.img != expected).mean() > .8 * img.size / expected.size
        np.testing.assert_array_equal(result.img, scheme.encrypt(img, None, 'a', 114).img)
        assert (result.img != scheme.encrypt(img, None, 'b', 114).img).any()
        return
    if scheme.shuffles:
        np.testing.assert_array_equal(unshuffle_patches(result.img, 8, result.order), expected)
        np.testing.assert_array_equal(
            scheme.order(KEY, 'a', result.nonce, result.img.shape), result.order)
        expected = shuffle_patches(expected, 8, result.order)
    np.testing.assert_array_equal(result.img, expected)
    assert (result.order is None) == (not scheme.shuffles)


@pytest.mark.parametrize(('name', 'shrinks', 'shuffles'), [
    ('blur', False, False), ('pixelate', False, False), ('noise', False, False),
    ('downsample', True, False), ('downsample+shuffle', True, True)])
def test_all_baselines(name, shrinks, shuffles):
    scheme = _scheme(name)
    assert (scheme.mixes, scheme.centers, scheme.restorable) == (False, False, False)
    assert (scheme.shrinks, scheme.shuffles, scheme.side) == (shrinks, shuffles, 8 if shrinks
                                                              else 16)
    assert name in BASELINES
    assert len(BASELINES) == 5
    assert not set(BASELINES) & set(SCHEMES)


@pytest.mark.parametrize('name', BASELINES)
def test_through_a_file_and_back(name):
    scheme = _scheme(name)
    again = read_scheme(json.loads(json.dumps(scheme.to_dict())))
    assert again == scheme
    assert type(again) is BaselineScheme
    data = scheme.to_dict()
    del data['strength']
    with pytest.raises(ValueError, match='a scheme has the fields'):
        read_scheme(data)


def test_schemes_that_are_no_baseline_are_read_as_before():
    scheme = Scheme('mix+shuffle', erode=1)
    assert read_scheme(asdict(scheme)) == scheme
    assert 'strength' not in scheme.to_dict()
    assert make_scheme('mix+shuffle', erode=1) == scheme
    assert make_scheme('blur', grid=1, strength=2) == BaselineScheme('blur', grid=1, strength=2.)
    for data in (None, [], {}, {'name': []}, asdict(scheme) | dict(strength=0.)):
        with pytest.raises(ValueError, match='a scheme has the fields'):
            read_scheme(data)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(name='mix'), "no scheme 'mix': choose one of"),
    (dict(name='blur', grid=2, strength=1), 'does not mix, so grid must be 1'),
    (dict(name='blur', strength=0), 'sigma in pixels, must be above 0 and at most 100'),
    (dict(name='blur', strength=101), 'at most 100, got 101'),
    (dict(name='blur', strength=float('nan')), 'got nan'),
    (dict(name='noise', strength=-1), 'sigma in levels, must be above 0'),
    (dict(name='noise', strength=float('inf')), 'got inf'),
    (dict(name='pixelate', strength=2.5), 'must be a whole number, got 2.5'),
    (dict(name='pixelate', strength=True), 'strength must be of type float'),
    (dict(name='downsample', strength=1.), 'scheme downsample has no strength'),
    (dict(name='downsample', grid=3), 'grid 3 does not divide the patch size 16'),
    (dict(name='downsample', erode=1), 'does not shuffle'),
    (dict(name='blur', strength=1, center_strength=1.), 'does not center'),
])
def test_what_is_wrong_or_has_no_meaning(options, message):
    options = dict(grid=2 if 'downsample' in options['name'] else 1) | options
    with pytest.raises(ValueError, match=message):
        BaselineScheme(**options)


def test_no_strength_for_others():
    with pytest.raises(ValueError, match='scheme mix has no strength; those that have one are'):
        make_scheme('mix', strength=3.)
