"""Thumbnails: exact where nothing is lost, scaled back where a share is left."""
from __future__ import annotations

import numpy as np
import pytest

from mmppvit.attacks.attackers.learned_thumbnail import LearnedThumbnail
from mmppvit.attacks.attackers.poisson import PoissonThumbnail
from mmppvit.attacks.attackers.thumbnail import ThumbnailAttacker, patch_means, uncenter_patches
from mmppvit.encryption import Scheme, center_patches


@pytest.mark.parametrize(('patch_size', 'grid'), [(16, 2), (16, 4), (32, 4), (8, 1)])
def test_mixing_keeps_the_means_up_to_rounding(patch_size, grid):
    scheme = Scheme('mix', patch_size, grid)
    plain = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    found = ThumbnailAttacker(scheme).means(scheme.encrypt(plain).img)
    np.testing.assert_allclose(found, patch_means(plain, patch_size), rtol=0, atol=.5)


def test_a_image_of_one_color_per_patch_has_its_means_exactly():
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


@pytest.mark.parametrize('strength', [0., .5, .9])
def test_of_a_gain_means_and_texture_come_back(strength):
    scheme = Scheme('mix+center', 16, 2, strength, gain=4.)
    img = np.random.default_rng(1).integers(118, 139, (64, 96, 3), np.uint8)
    encrypted, mixed = scheme.in_order(img), Scheme().in_order(img)
    found = uncenter_patches(encrypted, 8, strength, gain=4.)
    off = patch_means(found - mixed, 8)
    assert np.abs(off).max() <= .5 + .5 / (1 - strength)  # mixed images are rounded themselves
    texture = found - mixed - np.kron(off, np.ones((8, 8, 1)))
    assert np.abs(texture).max() <= .5 + .5 / 4 + .1
    np.testing.assert_allclose(ThumbnailAttacker(scheme).means(encrypted), patch_means(found, 8))


def test_full_centering_leaves_nothing_to_scale():
    with pytest.raises(ValueError, match='leaves nothing'):
        uncenter_patches(np.zeros((8, 8, 3), np.uint8), 8, 1.)


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
