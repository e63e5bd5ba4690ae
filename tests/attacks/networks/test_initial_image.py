"""What networks begin with: the size of the plain image, and nearer to it than what they got."""
from __future__ import annotations

import numpy as np
import pytest

from mmppvit.attacks.networks.initial_image import InitialImage
from mmppvit.encryption import BaselineScheme, Scheme
from tests.attacks.reconstruction_cases import Blurred, smooth_image


def test_starts_have_the_plain_frame():
    for scheme in (Scheme(), Scheme('mix+shuffle'), Blurred(grid=1)):
        encrypted = np.full((48 // scheme.grid, 64 // scheme.grid, 3), 100, np.uint8)
        start = InitialImage(scheme)(encrypted)
        assert start.shape == (48, 64, 3)
        np.testing.assert_allclose(start, 100, atol=1e-3)


@pytest.mark.parametrize('strength', [10., 50.])
def test_networks_begin_nearer_to_the_plain_image_than_noise_is(strength):
    scheme = BaselineScheme('noise', 16, 1, strength=strength)
    plain = smooth_image(64, 96, np.random.default_rng(0))
    noisy = scheme.encrypt(plain).img
    error = np.abs(InitialImage(scheme)(noisy) - plain).mean()
    assert error < .6 * np.abs(noisy.astype(float) - plain).mean()
