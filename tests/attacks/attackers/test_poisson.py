"""Means that centering took come back from how neighbors fit."""
from __future__ import annotations

import numpy as np
import pytest

from mmppvit.attacks import Budget
from mmppvit.attacks.attackers.poisson import PoissonThumbnail
from mmppvit.encryption import Scheme
from tests.attacks.reconstruction_cases import make_pairs, similarity, smooth_image


@pytest.mark.parametrize(('grid', 'gain'), [(1, 1.), (2, 1.), (2, 4.)])
@pytest.mark.parametrize('fitted', [False, True])
def test_a_shade_comes_back_from_full_centering(grid, gain, fitted):
    scheme = Scheme('mix+center', 16, grid, center_strength=1., gain=gain)
    rng = np.random.default_rng(2)
    pairs = make_pairs(scheme, [smooth_image(128, 160, rng) for _ in range(12)])
    attacker = PoissonThumbnail(scheme)
    if fitted:
        attacker.fit(pairs[2:], Budget())
    flat = np.broadcast_to(np.full(3, 128, np.uint8), pairs[0].plain.shape)
    for victim in pairs[:2]:
        found = attacker.reconstruct(victim.encrypted).img
        # Only the mean of the image is beyond the attacker.
        steps = found - found.mean((0, 1)) - (victim.plain - victim.plain.mean((0, 1)))
        contrast = victim.plain.std((0, 1)).mean()
        assert np.sqrt(np.mean(steps**2)) < (.35 if fitted else .5) * contrast
        assert similarity(found, victim.plain) > similarity(flat, victim.plain) + .03
