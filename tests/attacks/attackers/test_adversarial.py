"""The GAN learns without pairs, and belongs to what it was given."""
from __future__ import annotations

import numpy as np
import pytest

from mmppvit.attacks import Budget, BudgetExceeded, Pair
from mmppvit.attacks.attackers.adversarial import AdversarialReconstruction
from mmppvit.attacks.attackers.thumbnail import ThumbnailAttacker
from mmppvit.encryption import Scheme
from tests.attacks.reconstruction_cases import Blurred, drawn_images, make_pairs, psnr


def test_it_beats_the_thumbnail_and_encrypts_to_what_was_given():
    scheme = Scheme()
    pairs = make_pairs(scheme, drawn_images(16))
    attacker = AdversarialReconstruction(scheme, width=16, max_steps=80, crop=48)
    attacker.fit(pairs[3:], Budget())
    assert psnr(attacker, pairs[:3]) > psnr(ThumbnailAttacker(scheme), pairs[:3]) + .3
    again = scheme.encrypt(attacker.reconstruct(pairs[0].encrypted).img).img
    assert np.abs(again.astype(float) - pairs[0].encrypted).mean() < 2


def test_it_keeps_the_means_where_the_scheme_is_not_known():
    scheme = Blurred(grid=1)
    pairs = make_pairs(scheme, drawn_images(4))
    attacker = AdversarialReconstruction(scheme, width=8, max_steps=20, crop=48)
    attacker.fit(pairs[1:], Budget())
    found = attacker.reconstruct(pairs[0].encrypted).img
    assert np.abs(found.mean((0, 1)) - pairs[0].plain.mean((0, 1))).max() < 10


def test_it_never_sees_the_two_of_one_pair():
    scheme = Scheme()
    pairs = make_pairs(scheme, drawn_images(4))
    runs = []
    for victim_half_swapped in (False, True):
        given = [Pair(p.name, 255 - p.encrypted if victim_half_swapped and k >= 2 else p.encrypted,
                      p.plain) for k, p in enumerate(pairs)]
        attacker = AdversarialReconstruction(scheme, width=8, max_steps=3, crop=48)
        attacker.fit(given, Budget())
        runs.append(attacker.reconstruct(pairs[0].encrypted).img)
    np.testing.assert_array_equal(*runs)  # what the photographs encrypt to is not used


def test_errors():
    pairs = make_pairs(Scheme(), drawn_images(3, 32, 32))
    with pytest.raises(BudgetExceeded):
        AdversarialReconstruction(Scheme()).fit(pairs, Budget(1e-6))
    with pytest.raises(ValueError, match='at least 2'):
        AdversarialReconstruction(Scheme()).fit(pairs[:1], Budget())
    assert AdversarialReconstruction.not_for(Scheme('mix+shuffle'))


def test_images_that_are_too_small_are_named():
    scheme = Scheme(patch_size=4)
    attacker = AdversarialReconstruction(scheme, width=8, max_steps=1)
    with pytest.raises(ValueError, match='there is an image of 24; leave gan out of --attacks'):
        attacker.fit(make_pairs(scheme, [img[:24, :32] for img in drawn_images(4)]), Budget())
    attacker.fit(make_pairs(scheme, [img[:32, :32] for img in drawn_images(4)]), Budget())
