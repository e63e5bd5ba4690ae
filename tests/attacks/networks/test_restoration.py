"""Parts of the learned attackers: exact where they state an equation."""
from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812, as everywhere
from skimage.metrics import structural_similarity

from mmppvit.attacks.networks.restoration import (
    KnownMixing,
    RestoringNetwork,
    UNet,
    ssim,
    tile_patches,
    to_image,
    to_tensor,
)
from mmppvit.encryption import Scheme


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_ssim_is_that_of_scikit_image():
    a = _noise(40, 56, 3)
    b = np.clip(a * .7 + _noise(56, 40, 3).transpose(1, 0, 2) * .3, 0, 255).astype(np.uint8)
    # Border windows are cropped there by half a window, which is where the pooled ones begin.
    expected = structural_similarity(a / 255., b / 255., channel_axis=2, data_range=1.)
    found = ssim(*(to_tensor(x).double() + .5 for x in (a, b))).item()
    assert found == pytest.approx(expected, abs=1e-6)


def test_tensors_become_the_same_images():
    img = _noise(5, 7, 3)
    np.testing.assert_array_equal(to_image(to_tensor(img)[0]), img)


@pytest.mark.parametrize(('size', 'grid'), [(16, 2), (16, 4), (8, 1)])
def test_known_mixing_is_mixing(size, grid):
    scheme = Scheme('mix', size, grid)
    plain = _noise(48, 64, 3)
    found = to_image(KnownMixing(scheme)(to_tensor(plain))[0])
    mixed = scheme.encrypt(plain).img
    assert np.abs(found.astype(int) - mixed).max() <= 1  # halves may be rounded otherwise


@pytest.mark.parametrize('strength', [0., .5, 1.])
def test_projection_meets_what_is_known_and_moves_no_further(strength):
    scheme = Scheme('mix+center' if strength else 'mix', center_strength=strength)
    known = KnownMixing(scheme)
    rng = torch.Generator().manual_seed(0)
    plain, other = (torch.rand((2, 3, 32, 48), generator=rng) - .5 for _ in range(2))
    encrypted = known(plain)
    if strength == .5:  # which keeps half of the distance of a mean from level 128
        means = F.interpolate(F.avg_pool2d(encrypted, 8), scale_factor=8.)
        encrypted = encrypted - .5 * (means - (128 / 255 - .5))
    found = known.project(other, encrypted)
    torch.testing.assert_close(known(found), known.known(encrypted))
    torch.testing.assert_close(known.project(found, encrypted), found)
    # The way is at a right angle to all that encrypt to the same.
    assert ((found - other) * (plain - found)).sum().abs() < 1e-3


@pytest.mark.parametrize('strength', [.3, .5, .75])
@pytest.mark.parametrize('gain', [1., 2.])
def test_centering_that_leaves_means_is_undone(strength, gain):
    scheme = Scheme('mix+center', center_strength=strength, gain=gain)
    plain = (60 + np.random.default_rng(0).normal(0, 8, (48, 64, 3))).astype(np.uint8)
    known = KnownMixing(scheme)
    sealed = to_tensor(scheme.in_order(plain))
    missed = (known.known(sealed) - known(to_tensor(plain))).abs().max() * 255
    assert missed <= 1 + .5 / (1 - strength)  # of rounding patches, and of rounding their means
    # What is projected encrypts to the sealed image again.
    again = scheme.in_order(to_image(known.project(to_tensor(np.full_like(plain, 90)), sealed)[0]))
    assert np.abs(again.astype(int) - scheme.in_order(plain)).max() <= 1 + gain


@pytest.mark.parametrize('gain', [1., 4.])
def test_what_is_known_of_centered_images_has_no_gain(gain):
    scheme = Scheme('mix+center', center_strength=1., gain=gain)
    plain = (128 + np.random.default_rng(0).normal(0, 8, (48, 64, 3))).astype(np.uint8)
    known = KnownMixing(scheme)
    found = known.known(to_tensor(scheme.in_order(plain))) - known(to_tensor(plain))
    assert found.abs().max() * 255 <= (1. if gain == 1 else (.5 + .1) / gain)


def test_means_of_clipped_patches_stay_as_they_are():
    scheme = Scheme('mix+center', center_strength=.5, gain=8.)
    plain = (100 + np.random.default_rng(0).normal(0, 2, (48, 64, 3))).astype(np.uint8)
    plain[:16, :16] = 100
    plain[:4, :4] = plain[:4, 8:12] = plain[8:12, :4] = plain[8:12, 8:12] = 200  # all four parts
    sealed = scheme.in_order(plain)
    assert sealed[:8, :8].max() == 255  # and nowhere else
    assert sealed[8:].max() < 255
    start = to_tensor(np.full_like(plain, 120))
    found = KnownMixing(scheme).project(start, to_tensor(sealed))
    means = ((F.avg_pool2d(found, 16) + .5) * 255)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(means[0, 0], 120, atol=.01)
    np.testing.assert_allclose(means[1:], 100, atol=2)


def test_what_is_no_known_map():
    assert not KnownMixing.applies(Scheme('mix+shuffle'))
    assert not KnownMixing.applies(Scheme('mix+center', center_strength=1., normalize=True))


def test_tiles_repeat_patches():
    img = torch.arange(2 * 4.).reshape(1, 1, 2, 4)
    tiled = tile_patches(img, 2, 2)
    assert tiled.shape == (1, 1, 4, 8)
    np.testing.assert_array_equal(tiled[0, 0, :2, :4].numpy(), [[0, 1, 0, 1], [4, 5, 4, 5]])
    torch.testing.assert_close(tiled[..., :2, :], tiled[..., 2:, :])


@pytest.mark.parametrize('shape', [(16, 16), (8, 24), (40, 56)])
def test_networks_take_all_sizes(shape):
    assert UNet(4, 3, 4)(torch.zeros(1, 4, *shape)).shape == (1, 3, *shape)
    scheme = Scheme('mix', 8, 2)
    encrypted = torch.zeros(2, 3, shape[0] // 2, shape[1] // 2)
    net = RestoringNetwork(scheme, 4)
    assert net(encrypted, torch.zeros(2, 3, *shape)).shape == (2, 3, *shape)
