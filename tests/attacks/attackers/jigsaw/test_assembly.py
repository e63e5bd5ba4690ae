"""Assembly of puzzles whose solution is known."""
from __future__ import annotations

import numpy as np
import pytest

from mmppvit.attacks.attackers.jigsaw import assemble, neighbor_accuracy
from mmppvit.attacks.attackers.jigsaw.compatibility import PairScores
from mmppvit.attacks.attackers.jigsaw.greedy import largest_tree, place_around
from mmppvit.attacks.attackers.jigsaw.refinement import (
    largest_segment,
    layout_score,
    propagate,
    reassign,
)


def _puzzle(shape: tuple[int, int], signal: float, seed: int = 0) -> tuple:
    """Scores of normal noise, with ``signal`` added for true neighbors, and the true order."""
    rng = np.random.default_rng(seed)
    count = shape[0] * shape[1]
    order = rng.permutation(count)
    layout = np.argsort(order).reshape(shape)
    right, below = (rng.normal(-1, 1, (count, count)).astype(np.float32) for _ in range(2))
    right[layout[:, :-1], layout[:, 1:]] += signal
    below[layout[:-1], layout[1:]] += signal
    for matrix in (right, below):
        np.fill_diagonal(matrix, -9)
    return PairScores(right, below), order


@pytest.mark.parametrize('shape', [(1, 1), (1, 2), (1, 7), (7, 1), (2, 2), (3, 5), (12, 9)])
def test_clear_puzzles_are_solved(shape):
    scores, order = _puzzle(shape, 12.)
    np.testing.assert_array_equal(assemble(scores, shape), order)


def test_noisy_puzzles_are_solved():
    """The best pair is wrong for most pieces; only several neighbors together tell."""
    shape = (12, 12)
    scores, order = _puzzle(shape, 3.5, seed=3)
    layout = np.argsort(order).reshape(shape)
    first = scores.right.argmax(1)[layout[:, :-1]] == layout[:, 1:]
    assert first.mean() < .9
    assert neighbor_accuracy(assemble(scores, shape), order, shape) >= .9


def test_blank_pieces_fill_what_is_left():
    shape = (8, 9)
    scores, order = _puzzle(shape, 12.)
    blank = np.zeros(72, bool)
    blank[[3, 30, 50, 70]] = True
    found = assemble(scores, shape, blank)
    assert sorted(found) == list(range(72))
    assert (found == order)[~blank].mean() > .9


def test_nothing_but_blanks():
    scores, _ = _puzzle((2, 3), 5.)
    assert assemble(scores, (2, 3), np.ones(6, bool)).tolist() == [0, 1, 2, 3, 4, 5]


def test_scores_of_another_shape_are_refused():
    with pytest.raises(ValueError, match='6 x 6 scores do not fit 2 x 4 patches'):
        assemble(_puzzle((2, 3), 5.)[0], (2, 4))


def test_assembly_is_deterministic():
    scores, _ = _puzzle((9, 9), 2.5)
    np.testing.assert_array_equal(assemble(scores, (9, 9)), assemble(scores, (9, 9)))


def test_trees_and_placing_stay_within_the_image():
    scores, _ = _puzzle((4, 11), 1.5)
    blank = np.zeros(44, bool)
    pieces, places = largest_tree(scores, (4, 11), blank)
    assert len(set(map(tuple, places))) == len(set(pieces)) == len(pieces)
    assert (places.max(0) < (4, 11)).all()
    layout = place_around((pieces, places), scores, (4, 11), blank)
    assert layout.shape == (4, 11)
    assert sorted(layout.ravel()) == list(range(44))


def test_refinements_are_permutations_and_reassignment_never_loses():
    scores, order = _puzzle((7, 8), 3.)
    start = np.random.default_rng(5).permutation(56).reshape(7, 8)
    better = reassign(start, scores)
    assert layout_score(better, scores) > layout_score(start, scores)
    for layout in (better, propagate(start, scores, 3)):
        assert sorted(layout.ravel()) == list(range(56))
    truth = np.argsort(order).reshape(7, 8)
    swapped = truth.copy()
    swapped[2, 3], swapped[5, 6] = truth[5, 6], truth[2, 3]
    np.testing.assert_array_equal(reassign(swapped, _puzzle((7, 8), 12.)[0]), truth)


def test_belief_propagation_mends_what_greedy_placing_breaks():
    scores, order = _puzzle((10, 10), 3.5, seed=1)
    truth = np.argsort(order).reshape(10, 10)
    broken = truth.copy()
    rng = np.random.default_rng(0)
    broken[3:6, 3:6] = rng.permutation(truth[3:6, 3:6].ravel()).reshape(3, 3)
    assert (propagate(broken, scores) == truth).mean() > .95


def test_the_largest_segment_is_the_part_that_is_right():
    scores, order = _puzzle((6, 6), 12.)
    layout = np.argsort(order).reshape(6, 6).copy()
    layout[4:] = layout[4:][::-1, ::-1].copy()
    pieces, places = largest_segment(layout, scores, np.zeros(36, bool))
    assert sorted(pieces) == sorted(layout[:4].ravel())
    np.testing.assert_array_equal(layout[places[:, 0], places[:, 1]], pieces)
