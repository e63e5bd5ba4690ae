"""Thumbnails: exact where nothing is lost, and found again where centering took them."""
from __future__ import annotations

from mmppvit.attacks import Budget, BudgetExceeded
from mmppvit.attacks.thumbnail import (
    LearnedThumbnail,
    PoissonThumbnail,
    Starter,
    ThumbnailAttacker,
    patch_means,
    uncenter_patches,
)
from mmppvit.encryption import BaselineScheme, Scheme, center_patches
from tests.attacks.reconstruction_cases import (
    Blurred,
    drawn_pictures,
    make_pairs,
    psnr,
    similarity,
    smooth_picture,
)

import numpy as np
import pytest


@pytest.mark.parametrize(('patch_size', 'grid'), [(16, 2), (16, 4), (32, 4), (8, 1)])
def test_mixing_keeps_the_means_up_to_rounding(patch_size, grid):
    scheme = Scheme('mix', patch_size, grid)
    plain = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    found = ThumbnailAttacker(scheme).means(scheme.encrypt(plain).img)
    np.testing.assert_allclose(found, patch_means(plain, patch_size), rtol=0, atol=.5)


def test_a_picture_of_one_colour_per_patch_has_its_means_exactly():
    scheme = Scheme()
    few = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    plain = np.kron(few, np.ones((16, 16, 1), np.uint8))
    np.testing.assert_array_equal(ThumbnailAttacker(scheme).means(scheme.encrypt(plain).img), few)


@pytest.mark.parametrize('strength', [0., .25, .5, .75, .9])
def test_partial_centering_is_undone_up_to_what_it_merges(strength):
    img = np.random.default_rng(1).integers(90, 160, (64, 96, 3), np.uint8)
    centered = center_patches(img, 8, strength)
    found = uncenter_patches(centered, 8, strength)
    # All that centers to the same cannot be told apart; the texture is kept exactly.
    np.testing.assert_array_equal(
        center_patches(np.rint(found).astype(np.uint8), 8, strength), centered)
    assert np.abs(found - img).max() <= np.ceil(.5 / (1 - strength)) + (strength > 0)
    assert np.ptp(patch_means(found - img, 1)[:8, :8], (0, 1)).max() == 0


def test_means_of_normalized_patches_come_back():
    img = np.random.default_rng(1).integers(90, 160, (64, 96, 3), np.uint8)
    centered = center_patches(img, 8, .5, normalize=True)
    found = uncenter_patches(centered, 8, .5, normalized=True)
    np.testing.assert_allclose(patch_means(found, 8), patch_means(img, 8), atol=1.5)


def test_full_centering_leaves_nothing_to_scale():
    with pytest.raises(ValueError, match='leaves nothing'):
        uncenter_patches(np.zeros((8, 8, 3), np.uint8), 8, 1.)


@pytest.mark.parametrize('grid', [1, 2])
@pytest.mark.parametrize('fitted', [False, True])
def test_a_shade_comes_back_from_full_centering(grid, fitted):
    scheme = Scheme('mix+center', 16, grid, center_strength=1.)
    rng = np.random.default_rng(2)
    pairs = make_pairs(scheme, [smooth_picture(128, 160, rng) for _ in range(12)])
    attacker = PoissonThumbnail(scheme)
    if fitted:
        attacker.fit(pairs[2:], Budget())
    flat = np.broadcast_to(np.full(3, 128, np.uint8), pairs[0].plain.shape)
    for victim in pairs[:2]:
        found = attacker.recover(victim.encrypted).img
        # Only the mean of the picture is beyond the attacker.
        steps = found - found.mean((0, 1)) - (victim.plain - victim.plain.mean((0, 1)))
        contrast = victim.plain.std((0, 1)).mean()
        assert np.sqrt(np.mean(steps**2)) < (.35 if fitted else .5) * contrast
        assert similarity(found, victim.plain) > similarity(flat, victim.plain) + .03


def test_the_learned_upsampler_beats_the_bicubic_one():
    scheme = Scheme()
    pairs = make_pairs(scheme, drawn_pictures(24))
    attacker = LearnedThumbnail(scheme, max_steps=40)
    attacker.fit(pairs[4:], Budget())
    assert psnr(attacker, pairs[:4]) > psnr(ThumbnailAttacker(scheme), pairs[:4]) + .02


def test_no_time_no_thumbnail():
    scheme = Scheme()
    with pytest.raises(BudgetExceeded):
        LearnedThumbnail(scheme).fit(make_pairs(scheme, drawn_pictures(3)), Budget(1e-6))


@pytest.mark.parametrize(('scheme', 'thumbnail', 'poisson'), [
    (Scheme('mix'), True, False),
    (Scheme('mix+center', center_strength=.5), True, False),
    (Scheme('mix+center', center_strength=1.), False, True),
    (Scheme('shuffle', grid=1), False, False),
    (Scheme('mix+center+shuffle', center_strength=1.), False, False),
])
def test_each_says_what_it_is_not_for(scheme, thumbnail, poisson):
    assert (ThumbnailAttacker.not_for(scheme) is None) == thumbnail
    assert (LearnedThumbnail.not_for(scheme) is None) == thumbnail
    assert (PoissonThumbnail.not_for(scheme) is None) == poisson


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
