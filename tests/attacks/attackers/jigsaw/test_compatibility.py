"""Costs of all pairs against the definition, pair by pair."""
from __future__ import annotations

import numpy as np
import pytest

from mmppvit.attacks.attackers.jigsaw.compatibility import gradient_costs, log_odds, pair_scores
from mmppvit.attacks.attackers.jigsaw.pieces import cut_pieces, undo_centering
from mmppvit.encryption import Scheme, center_patches, split_patches
from mmppvit.encryption.mixing import sum_sub_patches

DUMMIES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0],
                    [0, 0, -1], [1, 1, 1], [-1, -1, -1]], float)


def _pieces(count: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3)).astype(np.float32)


def _slow_side(first: np.ndarray, second: np.ndarray, gap: int, blind: bool) -> float:
    """Gallagher's D_LR, one line at a time; ``second`` is right of ``first``."""
    inside = first[:, -1].astype(float) - first[:, -2]
    mean = inside.mean(0)
    inverse = np.linalg.inv(np.cov(np.concatenate([inside, DUMMIES]).T))
    over = second[:, 0].astype(float) - first[:, -1] - (gap + 1) * mean
    if blind:
        over = over - over.mean(0)
    return sum(step @ inverse @ step for step in over)


@pytest.mark.parametrize('gap', [0, 4])
@pytest.mark.parametrize('blind', [False, True])
def test_gradient_costs_are_their_definition(blind, gap):
    pieces = _pieces(5, 6)
    cost = gradient_costs(pieces, gap, blind)
    assert np.isinf(np.diag(cost)).all()
    for i in range(5):
        for j in range(5):
            if i != j:
                slow = _slow_side(pieces[i], pieces[j], gap, blind) + _slow_side(
                    pieces[j][:, ::-1], pieces[i][:, ::-1], gap, blind)
                assert cost[i, j] == pytest.approx(slow, rel=1e-5)


def test_blind_costs_do_not_see_offsets():
    pieces = _pieces(6, 8)
    offsets = np.random.default_rng(1).integers(-99, 99, (6, 1, 1, 3)).astype(np.float32)
    np.testing.assert_allclose(gradient_costs(pieces + offsets, blind=True),
                               gradient_costs(pieces, blind=True), rtol=1e-4)
    assert not np.allclose(gradient_costs(pieces + offsets), gradient_costs(pieces), rtol=.1)


def test_chunks_do_not_change_costs(monkeypatch):
    pieces = _pieces(7, 4)
    whole = gradient_costs(pieces)
    monkeypatch.setattr('mmppvit.attacks.attackers.jigsaw.compatibility._CHUNK', 3)
    np.testing.assert_allclose(gradient_costs(pieces), whole, rtol=1e-5)


def test_flat_pieces_have_finite_costs():
    cost = gradient_costs(np.full((3, 4, 4, 3), 128, np.float32))
    assert (cost[~np.eye(3, dtype=bool)] == 0).all()


def test_below_is_right_of_transposed_pieces():
    pieces = _pieces(6, 5)
    there, back = pair_scores(pieces), pair_scores(pieces.swapaxes(1, 2))
    np.testing.assert_array_equal(there.right, back.below)
    np.testing.assert_array_equal(there.below, back.right)


def test_log_odds_say_how_much_likelier_than_chance():
    cost = np.full((50, 50), 1000, np.float32)
    np.fill_diagonal(cost, np.inf)
    cost[np.arange(49), np.arange(1, 50)] = 1
    odds = log_odds(cost, 4., doubt=.1)
    assert odds[3, 4] == pytest.approx(np.log(.9 * 50 + .1), rel=1e-3)
    assert odds[3, 9] == pytest.approx(np.log(.1), rel=1e-3)
    np.testing.assert_allclose(log_odds(cost * 7, 4.), odds, atol=2e-2)  # costs have no scale


@pytest.mark.parametrize(('strength', 'normalize', 'within'), [
    (0., False, 0), (.5, False, 1.01), (.75, False, 2.01), (.5, True, 6)])
def test_partial_centering_can_be_undone(strength, normalize, within):
    """Whoever knows the strength gets every patch back but for rounding, contrast included."""
    img = np.random.default_rng(0).normal(128, 12, (32, 48, 3))
    img = np.kron(img[::8, ::8], np.ones((8, 8, 1))) * .5 + img * .5
    img = np.clip(img, 0, 255).astype(np.uint8)
    scheme = Scheme('mix+center', center_strength=strength, normalize=normalize)
    left = split_patches(center_patches(img, 8, strength, normalize), 8).reshape(-1, 8, 8, 3)
    plain = split_patches(img, 8).reshape(-1, 8, 8, 3).astype(np.float32)
    assert np.abs(undo_centering(left, scheme) - plain).max() <= within


@pytest.mark.parametrize('strength', [.5, 1.])
def test_a_gain_is_undone_and_keeps_what_rounding_loses(strength):
    img = np.random.default_rng(0).normal(128, 8, (64, 96, 3))
    img = np.clip(img, 0, 255).astype(np.uint8)
    exact = split_patches(sum_sub_patches(img) / 4, 8).reshape(-1, 8, 8, 3)
    if strength == 1:
        exact = exact - exact.mean((1, 2), keepdims=True) + 128
    off = []
    for gain in (1., 8.):
        scheme = Scheme('mix+center', center_strength=strength, gain=gain)
        left = split_patches(scheme.in_order(img), 8).reshape(-1, 8, 8, 3)
        found = undo_centering(left, scheme)
        if strength == 1:
            off.append(np.abs(found - exact).max())
        else:  # the means come back up to rounding, which the strength multiplies
            off.append(np.abs(found - exact - (found - exact).mean((1, 2), keepdims=True)).max())
    assert off[0] > .3
    assert off[1] <= (.5 + .1) / 8


def test_pieces_leave_eroded_borders_out_and_know_dropped_ones():
    img = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    scheme = Scheme('shuffle', grid=1, erode=2, drop=.2)
    img[:16, 16:32] = 128
    pieces = cut_pieces(img, scheme)
    assert (pieces.shape, pieces.gap, pieces.inner.shape) == ((2, 3), 4, (6, 12, 12, 3))
    assert pieces.blank.tolist() == [False, True, False, False, False, False]
    np.testing.assert_array_equal(pieces.inner[5], img[18:30, 34:46])
    assert not cut_pieces(img, Scheme('shuffle', grid=1)).blank.any()  # nothing was dropped
