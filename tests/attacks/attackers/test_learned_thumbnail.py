"""A network that learned from pairs upsamples better than one that did not."""
from __future__ import annotations

import pytest

from mmppvit.attacks import Budget, BudgetExceeded
from mmppvit.attacks.attackers.learned_thumbnail import LearnedThumbnail
from mmppvit.attacks.attackers.thumbnail import ThumbnailAttacker
from mmppvit.encryption import Scheme
from tests.attacks.reconstruction_cases import drawn_images, make_pairs, psnr


def test_the_learned_upsampler_beats_the_bicubic_one():
    scheme = Scheme()
    pairs = make_pairs(scheme, drawn_images(24))
    attacker = LearnedThumbnail(scheme, max_steps=40)
    attacker.fit(pairs[4:], Budget())
    assert psnr(attacker, pairs[:4]) > psnr(ThumbnailAttacker(scheme), pairs[:4]) + .02


def test_no_time_no_thumbnail():
    scheme = Scheme()
    with pytest.raises(BudgetExceeded):
        LearnedThumbnail(scheme).fit(make_pairs(scheme, drawn_images(3)), Budget(1e-6))
