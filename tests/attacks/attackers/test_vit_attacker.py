"""The transformers put patches back whose color tells their place, and unmix."""
from __future__ import annotations

import numpy as np
import pytest

from mmppvit.attacks import Budget, BudgetExceeded
from mmppvit.attacks.attackers import vit_attacker
from mmppvit.attacks.attackers.thumbnail import ThumbnailAttacker
from mmppvit.attacks.attackers.vit_attacker import PositionNetwork, ViTAttacker, assign_places
from mmppvit.encryption import Scheme
from tests.attacks.reconstruction_cases import drawn_images, make_pairs, psnr


def _maps(count: int) -> list[np.ndarray]:
    """Blue tells the row and green the column; red is noise."""
    rng = np.random.default_rng(0)
    imgs = []
    for _ in range(count):
        img = rng.integers(0, 256, (96, 128, 3), np.uint8)
        img[..., 0] = np.linspace(20, 235, 96)[:, None]
        img[..., 1] = np.linspace(20, 235, 128)
        imgs.append(img)
    return imgs


@pytest.mark.parametrize('scheme', [Scheme('shuffle', grid=1), Scheme('mix+shuffle')])
def test_places_that_colors_tell_are_found(scheme):
    pairs = make_pairs(scheme, _maps(6))
    attacker = ViTAttacker(scheme, max_steps=50, depth=2)
    attacker.fit(pairs[1:], Budget())
    found = attacker.reconstruct(pairs[0].encrypted)
    assert np.mean(found.order == pairs[0].order) > .9
    assert found.img.shape == pairs[0].plain.shape


def test_the_assignment_is_the_likeliest_permutation():
    net = PositionNetwork(8, 64, 1, bins=8)
    rows, cols = 3, 5
    order = np.random.default_rng(0).permutation(rows * cols)
    shares = [net.places(count).numpy() for count in (rows, cols)]
    scores = np.log(np.stack([shares[0][order // cols], shares[1][order % cols]], 1) + 1e-3)
    np.testing.assert_array_equal(assign_places(scores, rows, cols, *shares), order)
    # Two that claim one place: the surer one has it, and every place is used once.
    scores[0] = .5 * scores[1]
    assert sorted(assign_places(scores, rows, cols, *shares)) == list(range(rows * cols))


def test_it_unmixes_better_than_the_thumbnail():
    scheme = Scheme()
    pairs = make_pairs(scheme, drawn_images(16))
    attacker = ViTAttacker(scheme, max_steps=40, depth=2)
    attacker.fit(pairs[3:], Budget())
    assert psnr(attacker, pairs[:3]) > psnr(ThumbnailAttacker(scheme), pairs[:3]) + .5


def test_no_time_no_transformer():
    scheme = Scheme('mix+shuffle')
    with pytest.raises(BudgetExceeded):
        ViTAttacker(scheme).fit(make_pairs(scheme, drawn_images(3, 32, 32)), Budget(1e-6))


def test_large_images_are_learned_from_in_parts(monkeypatch):
    """From 20 of 48 patches at a time, and from images that are put in order once."""
    monkeypatch.setattr(vit_attacker, '_MOST_PATCHES', 20)
    monkeypatch.setattr(vit_attacker, '_MOST_ORDERED', 3)
    scheme = Scheme('mix+shuffle')
    pairs, put = make_pairs(scheme, _maps(6)), []
    attacker = ViTAttacker(scheme, max_steps=40, depth=1)
    ordered, learned_from = attacker._ordered, set()
    monkeypatch.setattr(attacker, '_ordered', lambda img: put.append(1) or ordered(img))
    attacker._places.register_forward_hook(
        lambda net, given, scores: learned_from.add((net.training, scores.shape[1])))
    attacker.fit(pairs[1:], Budget())
    assert len(put) == 4  # three to learn from, one to choose weights by
    assert {count for training, count in learned_from if training} == {20}
    found = attacker.reconstruct(pairs[0].encrypted)
    assert np.mean(found.order == pairs[0].order) > .9
