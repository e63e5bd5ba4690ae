"""Feature reconstruction: encrypts to what was given, and is nearer than the thumbnail."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from mmppvit.attacks import Budget
from mmppvit.attacks.attackers.feature_reconstruction import (
    FeatureReconstruction,
    LinearForward,
    total_variation,
)
from mmppvit.attacks.attackers.poisson import PoissonThumbnail
from mmppvit.attacks.attackers.thumbnail import ThumbnailAttacker
from mmppvit.attacks.networks.restoration import to_tensor
from mmppvit.encryption import Scheme
from tests.attacks.reconstruction_cases import Blurred, drawn_images, make_pairs, psnr


def test_it_encrypts_to_what_was_given_and_beats_the_thumbnail():
    scheme = Scheme()
    victims = make_pairs(scheme, drawn_images(3))
    attacker = FeatureReconstruction(scheme)
    for victim in victims:
        found = attacker.reconstruct(victim.encrypted).img
        missed = scheme.encrypt(found).img.astype(float) - victim.encrypted
        assert np.abs(missed).mean() < 1
    assert psnr(attacker, victims) > psnr(ThumbnailAttacker(scheme), victims) + 3


def test_it_brings_back_more_than_poisson_of_centered_images():
    scheme = Scheme('mix+center', center_strength=1.)
    pairs = make_pairs(scheme, drawn_images(8))
    attacker, poisson = FeatureReconstruction(scheme), PoissonThumbnail(scheme)
    attacker.fit(pairs[2:], Budget())
    poisson.fit(pairs[2:], Budget())
    assert psnr(attacker, pairs[:2]) > psnr(poisson, pairs[:2])


def test_it_sharpens_blur_by_a_map_that_it_finds():
    scheme = Blurred(grid=1)
    pairs = make_pairs(scheme, drawn_images(12))
    attacker = FeatureReconstruction(scheme)
    with pytest.raises(RuntimeError, match='fitted'):
        attacker.reconstruct(pairs[0].encrypted)
    attacker.fit(pairs[2:], Budget())
    blurred = np.mean([peak_signal_noise_ratio(p.plain, p.encrypted) for p in pairs[:2]])
    assert psnr(attacker, pairs[:2]) > blurred + 2


@pytest.mark.parametrize(('scheme', 'by_patch'), [
    (Scheme('mix', 8, 2), True), (Blurred(patch_size=8, grid=1), False)])
def test_regression_finds_the_map(scheme, by_patch):
    pairs = make_pairs(scheme, drawn_images(12))
    forward = LinearForward(scheme, pairs[1:])
    assert forward.by_patch == by_patch
    missed = forward(to_tensor(pairs[0].plain)) - to_tensor(pairs[0].encrypted)
    assert missed.square().mean().sqrt() < 1.5 / 255


def test_variation_of_an_edge_is_its_height():
    img = torch.zeros(1, 1, 4, 6)
    img[..., 3:] = .5
    assert total_variation(img, smooth=1e-6).item() == pytest.approx(4 * .5, abs=1e-3)


def test_what_it_is_not_for():
    assert FeatureReconstruction.not_for(Scheme('mix+shuffle'))
    assert FeatureReconstruction.not_for(
        Scheme('mix+center', center_strength=1., normalize=True))
    assert FeatureReconstruction.not_for(Scheme()) is None
