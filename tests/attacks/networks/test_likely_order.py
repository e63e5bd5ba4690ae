"""Permutations of the greatest sum, and near it."""
from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from mmppvit.attacks.networks import likely_order
from mmppvit.attacks.networks.likely_order import assign_likeliest


def test_few_patches_get_the_greatest_sum():
    scores = np.random.default_rng(0).normal(size=(6, 6))
    best = max(permutations(range(6)), key=lambda places: scores[range(6), places].sum())
    np.testing.assert_array_equal(assign_likeliest(scores), best)


@pytest.mark.parametrize('count', [21, 40])
def test_many_patches_are_assigned_in_parts(monkeypatch, count):
    monkeypatch.setattr(likely_order, '_AT_ONCE', 7)
    rng = np.random.default_rng(0)
    truth = rng.permutation(count)
    vague = rng.normal(size=(count, count))
    places = assign_likeliest(vague, 20)
    assert sorted(places) == list(range(count))
    each = np.arange(count)
    greatest = vague[each, assign_likeliest(vague)].sum()
    assert .8 * greatest < vague[each, places].sum() <= greatest
    vague[each, truth] += 10
    np.testing.assert_array_equal(assign_likeliest(vague, 20), truth)


def test_the_surest_have_their_places_first(monkeypatch):
    monkeypatch.setattr(likely_order, '_AT_ONCE', 1)
    scores = np.array([[2., 1., 0.], [3., 0., 0.], [0., 0., 1.]])
    np.testing.assert_array_equal(assign_likeliest(scores, 2), [1, 0, 2])
