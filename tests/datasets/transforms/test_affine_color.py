"""Changes of color: the same before and after sealing, up to rounding."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.encryption import Scheme, mix_sub_patches
from tests.datasets.transforms.sample_images import P, build, sample_image


def _center(mixed: np.ndarray, side: int, strength: float) -> np.ndarray:
    """The definition, patch by patch and channel by channel."""
    out = mixed.copy()
    for i, j, c in np.ndindex(mixed.shape[0] // side, mixed.shape[1] // side, mixed.shape[2]):
        place = np.s_[i * side:(i + 1) * side, j * side:(j + 1) * side, c]
        shift = np.rint(strength * (128 - mixed[place].astype(float).mean()))
        out[place] = np.clip(mixed[place] + shift, 0, 255)
    return out


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4]), st.sampled_from([0., .25, .5, 1.]),
       st.booleans(), st.sampled_from([(.7, .99), (.8, 1.2), (1., 1.)]))
@settings(deadline=None, max_examples=80)
def test_colors_commute_up_to_rounding(seed, grid, strength, per_channel, gains):
    # Far enough from 0 and 255, on both sides, that nothing is clipped.
    img = np.random.default_rng(seed).integers(92, 164, (2 * P, 3 * P, 3), dtype=np.uint8)
    steps = [build('RandomAffineColor', gain=gains, per_channel=per_channel, prob=1.,
                   center_strength=s) for s in (0., strength)]

    def seal(plain: np.ndarray) -> np.ndarray:
        return _center(mix_sub_patches(plain, P, grid), P // grid, strength)

    np.random.seed(seed)
    before = seal(steps[0](dict(img=img))['img'])
    np.random.seed(seed)
    after = steps[1](dict(img=seal(img)))['img']
    assert before.dtype == after.dtype == np.uint8
    off = np.abs(before.astype(int) - after)
    # The mean that centering takes is one more thing to be rounded.
    assert off.max() <= (2 if strength else 1)


@pytest.mark.parametrize('strength', [.25, 1.])
def test_two_levels_off_are_rare(strength):
    img = np.random.default_rng(0).integers(92, 164, (12 * P, 12 * P, 8), dtype=np.uint8)
    ends = []
    for order in (0, 1):
        np.random.seed(0)
        step = build('RandomAffineColor', prob=1., center_strength=order * strength)
        if order == 0:
            mixed = mix_sub_patches(step(dict(img=img))['img'], P, 2)
            ends.append(_center(mixed, P // 2, strength))
        else:
            mixed = _center(mix_sub_patches(img, P, 2), P // 2, strength)
            ends.append(step(dict(img=mixed))['img'])
    off = np.abs(ends[0].astype(int) - ends[1])
    assert (off == 2).mean() < .02
    assert (off > 2).sum() == 0


@pytest.mark.parametrize('strength', [0., .5, 1.])
def test_of_images_with_a_gain_they_commute_as_well(strength):
    """A level that the plain image is rounded by becomes as many as the gain is."""
    scheme = Scheme('mix+center', P, 2, strength, gain=4.)
    img = np.random.default_rng(0).integers(118, 139, (4 * P, 4 * P, 3), dtype=np.uint8)
    ends = []
    for order in (0, 1):
        np.random.seed(0)
        step = build('RandomAffineColor', prob=1., center_strength=order * strength)
        results = dict(img=scheme.in_order(img) if order else img)
        changed = step(results)['img']
        ends.append(changed if order else scheme.in_order(changed))
    off = np.abs(ends[0].astype(int) - ends[1])
    assert 0 < off.max() <= 4
    assert off.mean() < 1


@pytest.mark.parametrize('strength', [0., .5, 1.])
def test_colors_commute_exactly_where_nothing_is_rounded(strength):
    half = np.random.default_rng(0).integers(-10, 11, (2 * P, 3 * P // 2, 3)) * 2
    img = (80 + np.stack([half, -half], 2).reshape(2 * P, 3 * P, 3)).astype(np.uint8)
    kwargs = dict(gain=(1.5, 1.5), bias=(8, 8), prob=1.)
    plain = build('RandomAffineColor', **kwargs)(dict(img=img))['img']
    np.testing.assert_array_equal(plain, 1.5 * img + 8)
    sealed = build('RandomAffineColor', center_strength=strength, **kwargs)(
        dict(img=_center(img, P, strength)))['img']
    np.testing.assert_array_equal(sealed, _center(plain, P, strength))


def _normalize(img: np.ndarray, strength: float) -> np.ndarray:
    """One contrast for all patches, whose means stay as far as ``strength`` leaves them."""
    patches = img.reshape(img.shape[0] // P, P, img.shape[1] // P, P, -1).astype(float)
    mean = patches.mean((1, 3), keepdims=True)
    rms = np.sqrt(np.square(patches - mean).mean((1, 3, 4), keepdims=True))
    out = (patches - mean) * 40 / (rms + 8) + 128 + (1 - strength) * (mean - 128)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8).reshape(img.shape)


@pytest.mark.parametrize('strength', [0., .5, 1.])
def test_of_normalized_images_only_brightness_commutes(strength):
    img = np.random.default_rng(0).integers(108, 148, (2 * P, 3 * P, 3), dtype=np.uint8)
    off = {}
    for gain in (1, .6):
        before, after = (build('RandomAffineColor', gain=(gain, gain), prob=1.,
                               center_strength=s) for s in (0., strength))
        np.random.seed(0)
        plain = _normalize(before(dict(img=img))['img'], strength)
        np.random.seed(0)
        sealed = after(dict(img=_normalize(img, strength)))['img']
        off[gain] = np.abs(plain.astype(int) - sealed).max()
    assert off[1] <= 1
    assert off[.6] > 5


def test_brightness_does_nothing_to_fully_centered_images():
    img = sample_image(0)['img']
    step = build('RandomAffineColor', gain=(1, 1), prob=1., center_strength=1.)
    np.testing.assert_array_equal(step(dict(img=img))['img'], img)


@pytest.mark.parametrize('channels', [(), (1, ), (3, ), (4, ), (7, )])
@pytest.mark.parametrize('per_channel', [False, True])
def test_colors_of_any_number_of_channels(channels, per_channel):
    img = np.random.default_rng(0).integers(0, 256, (16, 24, *channels), dtype=np.uint8)
    view = img.swapaxes(0, 1)[::-1]
    step = build('RandomAffineColor', per_channel=per_channel, prob=1., bias=(-60, 60))
    np.random.seed(0)
    changed = step(dict(img=view, patch_order=np.arange(6)))['img']
    np.random.seed(0)
    gain, bias = step._random_color(channels[0] if channels else 1)
    if not channels:
        gain, bias = gain[0], bias[0]
    assert len(set(np.ravel(gain))) == (np.size(gain) if per_channel else 1)
    np.testing.assert_array_equal(changed, np.clip(np.rint(view * gain + bias), 0, 255))
    assert changed.dtype == np.uint8
    assert changed.shape == view.shape


def test_without_a_color_change_nothing_changes():
    img = sample_image(0)['img']
    step = build('RandomAffineColor', prob=0.)
    assert step(dict(img=img))['img'] is img


@pytest.mark.parametrize('dtype', [np.float32, np.uint16])
def test_colors_of_other_types_are_refused(dtype):
    with pytest.raises(TypeError, match=rf'a\.png: .* got {np.dtype(dtype)}; .*8-bit'):
        build('RandomAffineColor')(dict(img=np.zeros((8, 8, 3), dtype), img_path='a.png'))
