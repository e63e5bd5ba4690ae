"""Scores of reconstructed orders, on orders whose scores can be counted by hand."""
from __future__ import annotations

import numpy as np
import pytest

from mmppvit.attacks.attackers.jigsaw import direct_placement, largest_component, neighbor_accuracy

TRUTH = np.random.default_rng(0).permutation(12)  # of 3 x 4 patches
SHAPE = (3, 4)


def _moved(layout: list[list[int]]) -> np.ndarray:
    """The reconstructed order that has true patch ``layout[r][c]`` in place (r, c)."""
    place = np.empty(12, np.int64)
    place[np.ravel(layout)] = np.arange(12)
    return place[TRUTH]


@pytest.mark.parametrize(('layout', 'neighbors', 'component', 'direct'), [
    ([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]], 17, 12, 12),
    ([[4, 5, 6, 7], [8, 9, 10, 11], [0, 1, 2, 3]], 9 + 4, 8, 0),  # rows turned round
    ([[1, 2, 3, 0], [5, 6, 7, 4], [9, 10, 11, 8]], 6 + 8, 9, 0),  # columns turned round
    ([[1, 0, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]], 13, 10, 10),  # two swapped
    ([[11, 10, 9, 8], [7, 6, 5, 4], [3, 2, 1, 0]], 0, 1, 0),  # upside down: sides count
])
def test_known_orders(layout, neighbors, component, direct):
    order = _moved(layout)
    assert neighbor_accuracy(order, TRUTH, SHAPE) == pytest.approx(neighbors / 17)
    assert largest_component(order, TRUTH, SHAPE) == pytest.approx(component / 12)
    assert direct_placement(order, TRUTH, SHAPE) == pytest.approx(direct / 12)


def test_scores_do_not_depend_on_the_shuffling():
    rng = np.random.default_rng(1)
    order, truth, again = (rng.permutation(12) for _ in range(3))
    for score in (neighbor_accuracy, largest_component, direct_placement):
        assert score(order, truth, SHAPE) == score(order[again], truth[again], SHAPE)


def test_one_patch_and_one_row():
    one, row = np.array([0]), np.array([2, 0, 1])
    assert neighbor_accuracy(one, one, (1, 1)) == largest_component(one, one, (1, 1)) == 1
    assert neighbor_accuracy(row, row, (1, 3)) == largest_component(row, row, (1, 3)) == 1


@pytest.mark.parametrize('order', [[0, 1, 2], [0, 1, 2, 2], [0, 1, 2, 4]])
def test_what_is_no_order_is_refused(order):
    with pytest.raises(ValueError, match='not an order of 2 x 2 patches'):
        neighbor_accuracy(np.array(order), np.arange(4), (2, 2))
