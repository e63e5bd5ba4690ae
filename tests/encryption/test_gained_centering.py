"""Mixing and centering with a gain: the exact value, rounded once."""
from __future__ import annotations

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmppvit.encryption import (
    Key,
    Scheme,
    center_patches,
    make_scheme,
    mix_and_center,
    mix_sub_patches,
)
from mmppvit.encryption.mixing import sum_sub_patches

GAINS = st.one_of(st.sampled_from([1., 2., 4., 8., 64.]),
                  st.integers(1000, 64_000).map(lambda n: n / 1000))
STRENGTHS = st.one_of(st.just(1.), st.integers(0, 1000).map(lambda n: n / 1000))


@st.composite
def mixable(draw):
    """(image, patch_size, grid); flat patches and those at the ends of the range are among them."""
    grid = draw(st.integers(1, 4))
    patch = grid * draw(st.integers(1, 4))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    channels = draw(st.sampled_from([(), (1, ), (3, )]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    base = np.kron(rng.integers(0, 256, (*shape, *channels)),
                   np.ones((patch, patch, *(1 for _ in channels)), int))
    spread = draw(st.sampled_from([0, 1, 5, 40, 255]))
    img = np.clip(base + rng.integers(-spread, spread + 1, base.shape), 0, 255).astype(np.uint8)
    if draw(st.booleans()):
        img = np.asfortranarray(img)
    img.flags.writeable = False
    return img, patch, grid


def _slow(img: np.ndarray, patch: int, grid: int, strength: float, gain: float) -> np.ndarray:
    """The definition in fractions, patch by patch and channel by channel."""
    side, planes = patch // grid, img.reshape(*img.shape[:2], -1)
    share, factor = Fraction(str(strength)), Fraction(str(gain))
    out = np.zeros((img.shape[0] // grid, img.shape[1] // grid, planes.shape[2]), np.uint8)
    for i, j, c in np.ndindex(img.shape[0] // patch, img.shape[1] // patch, planes.shape[2]):
        plain = planes[i * patch:(i + 1) * patch, j * patch:(j + 1) * patch, c].tolist()
        mean = Fraction(sum(map(sum, plain)), patch * patch)
        for u, v in np.ndindex(side, side):
            x = Fraction(sum(plain[a * side + u][b * side + v]
                             for a in range(grid) for b in range(grid)), grid * grid)
            y = 128 + (1 - share) * (mean - 128) + factor * (x - mean)
            out[i * side + u, j * side + v, c] = min(max(math.floor(y + Fraction(1, 2)), 0), 255)
    return out.reshape(out.shape[0], out.shape[1], *img.shape[2:])


@given(mixable(), STRENGTHS, GAINS)
def test_is_the_exact_value_rounded_once(sample, strength, gain):
    img, patch, grid = sample
    before = img.copy()
    found = mix_and_center(img, patch, grid, strength, gain)
    np.testing.assert_array_equal(found, _slow(img, patch, grid, strength, gain))
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(img, before)


@pytest.mark.parametrize(('patch', 'grid', 'gain'), [
    (16, 2, 4.), (16, 4, 8.), (32, 2, 63.999), (34, 17, 4.), (96, 3, 4.25)])
def test_large_patches_and_grids_do_not_overflow(patch, grid, gain):
    rng = np.random.default_rng(patch)
    img = rng.integers(0, 2, (patch, 2 * patch), dtype=np.uint8) * 255
    np.testing.assert_array_equal(mix_and_center(img, patch, grid, 1., gain),
                                  _slow(img, patch, grid, 1., gain))


@pytest.mark.parametrize(('patch', 'gain', 'expected'), [
    ([[10, 10], [10, 10]], 4., [[128, 128], [128, 128]]),
    ([[10, 20], [30, 40]], 4., [[68, 108], [148, 188]]),  # mean 25
    ([[10, 10], [10, 11]], 2., [[128, 128], [128, 130]]),  # -.5 and 1.5: halves go upwards
    ([[0, 0], [0, 255]], 2., [[1, 1], [1, 255]]),  # 510 is clipped
])
def test_known_answers(patch, gain, expected):
    assert mix_and_center(np.array(patch, np.uint8), 2, 1, 1., gain).tolist() == expected


def test_texture_between_levels_is_kept():
    """What mixing first would round away: a mean that rises by a quarter of a level."""
    img = np.full((4, 4), 100, np.uint8)
    img[0, 1] = 101  # of the four pixels that make the right half of the upper row
    assert mix_sub_patches(img, 4, 2).tolist() == [[100, 100], [100, 100]]
    assert mix_and_center(img, 4, 2, 1., 16.).tolist() == [[127, 131], [127, 127]]


@given(mixable())
def test_without_a_gain_it_differs_by_the_rounding_alone(sample):
    img, patch, grid = sample
    twice = center_patches(mix_sub_patches(img, patch, grid), patch // grid)
    assert np.abs(mix_and_center(img, patch, grid).astype(int) - twice).max() <= 1


@pytest.mark.parametrize('turn', [
    lambda x: x[:, ::-1], lambda x: x[::-1], np.rot90, lambda x: x.swapaxes(0, 1)],
    ids=['horizontal', 'vertical', 'rot90', 'transpose'])
@given(sample=mixable(), strength=STRENGTHS, gain=GAINS)
def test_commutes_with_flips_and_turns(turn, sample, strength, gain):
    img, patch, grid = sample
    np.testing.assert_array_equal(mix_and_center(turn(img), patch, grid, strength, gain),
                                  turn(mix_and_center(img, patch, grid, strength, gain)))


@given(mixable(), STRENGTHS, GAINS, st.data())
def test_a_crop_of_whole_patches_commutes(sample, strength, gain, data):
    img, patch, grid = sample
    rows, cols = (data.draw(st.integers(0, length // patch - 1)) for length in img.shape[:2])
    side = patch // grid
    np.testing.assert_array_equal(
        mix_and_center(img[rows * patch:, cols * patch:], patch, grid, strength, gain),
        mix_and_center(img, patch, grid, strength, gain)[rows * side:, cols * side:])


@given(mixable())
def test_sums_are_those_that_mixing_divides(sample):
    img, patch, grid = sample
    sums, count = sum_sub_patches(img, patch, grid).astype(np.int64), grid * grid
    np.testing.assert_array_equal((sums + count // 2) // count, mix_sub_patches(img, patch, grid))


@pytest.mark.parametrize('value', [0, 255])
def test_sums_of_large_grids(value):
    for grid in (16, 17):
        img = np.full((grid, 2 * grid, 3), value, np.uint8)
        assert (sum_sub_patches(img, grid, grid) == value * grid * grid).all()


@pytest.mark.parametrize(('gain', 'strength', 'message'), [
    (.999, 1., 'gain must lie between 1 and 64, got 0.999'),
    (0., 1., 'gain must lie between 1 and 64'),
    (-4., 1., 'gain must lie between 1 and 64'),
    (64.001, 1., 'gain must lie between 1 and 64'),
    (float('nan'), 1., 'gain must lie between 1 and 64, got nan'),
    (float('inf'), 1., 'gain must lie between 1 and 64, got inf'),
    (1.2345, 1., 'gain may have 3 decimals, got 1.2345'),
    (4., 1 / 3, 'the center strength beside a gain may have 3 decimals'),
    (4., 1e-9, 'the center strength beside a gain may have 3 decimals'),
])
def test_what_is_out_of_range(gain, strength, message):
    with pytest.raises(ValueError, match=message):
        mix_and_center(np.zeros((16, 16), np.uint8), 16, 2, strength, gain)
    with pytest.raises(ValueError, match=message):
        Scheme('mix+center', center_strength=strength, gain=gain)


@pytest.mark.parametrize('strength', [-.1, 1.1, float('nan')])
def test_strength_out_of_range(strength):
    with pytest.raises(ValueError, match=f'between 0 and 1, got {strength}'):
        mix_and_center(np.zeros((16, 16), np.uint8), 16, 2, strength, 4.)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(name='mix', gain=2.), 'scheme mix does not center: gain must be 1'),
    (dict(name='shuffle', grid=1, gain=2.), 'scheme shuffle does not center: gain must be 1'),
    (dict(name='blur', grid=1, strength=2., gain=2.), 'scheme blur does not center: gain'),
    (dict(name='mix+center', normalize=True, gain=2.), 'gain must be 1, not 2.0'),
    (dict(name='mix+center', gain='4'), "gain must be of type float, got '4'"),
    (dict(name='mix+center', gain=True), 'gain must be of type float, got True'),
])
def test_where_it_has_no_meaning(options, message):
    with pytest.raises(ValueError, match=message):
        make_scheme(**options)


def test_a_scheme_with_a_gain_through_a_file_and_back():
    scheme = make_scheme('mix+center+shuffle', center_strength=1., gain=4)
    assert scheme.to_dict() == dict(
        name='mix+center+shuffle', patch_size=16, grid=2, center_strength=1., normalize=False,
        erode=0, drop=0., gain=4.)
    assert Scheme.from_dict(scheme.to_dict()) == scheme
    assert scheme.describe().endswith('center strength 1, gain 4')
    assert scheme != make_scheme('mix+center+shuffle', center_strength=1.)


def test_a_gain_of_one_is_not_written():
    scheme = make_scheme('mix+center', center_strength=1., gain=1)
    assert 'gain' not in scheme.to_dict()
    assert Scheme.from_dict({**scheme.to_dict(), 'gain': 1}) == scheme


def _fixed_image() -> np.ndarray:
    """A ramp under noise, of whole and broken patches; the same on every machine."""
    noise = np.frombuffer(hashlib.shake_256(b'gain').digest(70 * 100 * 3), np.uint8)
    ramp = np.add.outer(np.arange(70), np.arange(100))[..., None]
    return (ramp + noise.reshape(70, 100, 3) // 3).clip(0, 255).astype(np.uint8)


# The first five are from before there was a gain.
@pytest.mark.parametrize(('options', 'digest'), [
    (dict(name='mix'), '5dffcb5e5bfb1715'),
    (dict(name='mix+center', center_strength=1.), '89f837c85b2f86f3'),
    (dict(name='mix+center', center_strength=.7), '6e41ee57c7ac7fd3'),
    (dict(name='mix+center', center_strength=1., normalize=True), '997e906f4754afa0'),
    (dict(name='mix+center+shuffle', center_strength=1.), '7b283ee0fcb8a857'),
    (dict(name='mix+center', center_strength=1., gain=4.), '7a363bb51640af46'),
    (dict(name='mix+center+shuffle', center_strength=.5, gain=2.5, erode=1), '70debd469dde8eeb'),
])
def test_bytes_do_not_change(options, digest):
    found = make_scheme(**options).encrypt(_fixed_image(), Key(bytes(32)), 'a.png', 'mirror').img
    assert hashlib.sha256(found).hexdigest()[:16] == digest
