"""What networks begin with: the size of the plain picture, and nearer to it than what they got."""
from __future__ import annotations

from mmppvit.attacks.starter import Starter
from mmppvit.encryption import BaselineScheme, Scheme
from tests.attacks.reconstruction_cases import Blurred, smooth_picture

import numpy as np
import pytest


def test_starts_have_the_plain_frame():
    for scheme in (Scheme(), Scheme('mix+shuffle'), Blurred(grid=1)):
        encrypted = np.full((48 // scheme.grid, 64 // scheme.grid, 3), 100, np.uint8)
        start = Starter(scheme)(encrypted)
        assert start.shape == (48, 64, 3)
        np.testing.assert_allclose(start, 100, atol=1e-3)


@pytest.mark.parametrize('strength', [10., 50.])
def test_networks_begin_nearer_to_the_plain_picture_than_noise_is(strength):
    scheme = BaselineScheme('noise', 16, 1, strength=strength)
    plain = smooth_picture(64, 96, np.random.default_rng(0))
    noisy = scheme.encrypt(plain).img
    error = np.abs(Starter(scheme)(noisy) - plain).mean()
    assert error < .6 * np.abs(noisy.astype(float) - plain).mean()
