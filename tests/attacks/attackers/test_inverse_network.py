"""The inverse network beats what needs no network, whatever the scheme."""
from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from mmppvit.attacks import Budget, BudgetExceeded
from mmppvit.attacks.attackers.inverse_network import InverseNetwork
from mmppvit.attacks.attackers.thumbnail import ThumbnailAttacker
from mmppvit.encryption import Scheme
from tests.attacks.reconstruction_cases import Blurred, drawn_images, make_pairs, psnr


def _small(scheme: Scheme, steps: int = 60) -> InverseNetwork:
    return InverseNetwork(scheme, width=16, max_steps=steps, crop=32, stock=16)


def test_it_beats_the_thumbnail_and_repeats():
    scheme = Scheme()
    pairs = make_pairs(scheme, drawn_images(16))
    runs = []
    for _ in range(2):
        attacker = _small(scheme, 15)
        attacker.fit(pairs[3:], Budget())
        runs.append(attacker.reconstruct(pairs[0].encrypted).img)
    np.testing.assert_array_equal(*runs)
    assert psnr(attacker, pairs[:3]) > psnr(ThumbnailAttacker(scheme), pairs[:3]) + 3


def test_it_sharpens_blur():
    scheme = Blurred(grid=1)
    pairs = make_pairs(scheme, drawn_images(16))
    attacker = _small(scheme, 250)
    attacker.fit(pairs[2:], Budget())
    blurred = np.mean([peak_signal_noise_ratio(p.plain, p.encrypted) for p in pairs[:2]])
    assert psnr(attacker, pairs[:2]) > blurred + .3


def test_it_gives_back_what_was_not_encrypted():
    scheme = Scheme('mix', grid=1)
    pairs = make_pairs(scheme, drawn_images(3))
    attacker = _small(scheme, 2)
    attacker.fit(pairs[1:], Budget())
    np.testing.assert_array_equal(attacker.reconstruct(pairs[0].encrypted).img, pairs[0].plain)


@pytest.mark.parametrize('scheme', [
    Scheme('mix+shuffle'), Scheme('shuffle', grid=1), Scheme('mix', 8, 4),
    Scheme('mix+center', center_strength=1., normalize=True)])
def test_it_runs_on_every_scheme_and_size(scheme):
    attacker = _small(scheme, 2)
    attacker.fit(make_pairs(scheme, drawn_images(3)), Budget())
    psnr(attacker, make_pairs(scheme, drawn_images(1, 48, 80)))


def test_no_time_no_network():
    for scheme in (Scheme(), Blurred(grid=1)):
        with pytest.raises(BudgetExceeded):
            _small(scheme).fit(make_pairs(scheme, drawn_images(3, 32, 32)), Budget(1e-6))
