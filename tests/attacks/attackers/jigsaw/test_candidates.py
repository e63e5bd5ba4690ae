"""Candidates in place of all pairs: the same values, and puzzles whose solution is known."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mmppvit.attacks import Budget, Pair
from mmppvit.attacks.attackers.jigsaw import (
    JigsawLearned,
    JigsawMGC,
    assemble,
    assembly,
    learned_scores,
    neighbor_accuracy,
    solvers,
)
from mmppvit.attacks.attackers.jigsaw.candidate_placement import place_candidates
from mmppvit.attacks.attackers.jigsaw.candidates import CandidateMatrix, candidate_scores
from mmppvit.attacks.attackers.jigsaw.compatibility import (
    PairScores,
    gradient_costs,
    gradient_factors,
    pair_scores,
)
from mmppvit.attacks.attackers.jigsaw.learned_scores import SideBySide
from mmppvit.attacks.attackers.jigsaw.pieces import Pieces, cut_pieces
from mmppvit.encryption import Key, make_scheme

SHUFFLE = make_scheme('shuffle', grid=1)


@pytest.fixture(scope='module')
def pieces(coco_mini) -> Pieces:
    img = cv2.resize(cv2.imread(str(coco_mini / 'val2017/000000397133.jpg')), (160, 128))
    return cut_pieces(img, SHUFFLE)


def _array(matrix: CandidateMatrix) -> np.ndarray:
    pieces = np.arange(len(matrix))
    return matrix[pieces[:, None], pieces]


@pytest.mark.parametrize('blind', [False, True])
@pytest.mark.parametrize('gap', [0, 2])
def test_factors_give_the_costs(pieces, blind, gap):
    first, second = gradient_factors(pieces.inner, gap, blind)
    cost = np.maximum(first @ second.T, 0)
    expected = gradient_costs(pieces.inner, gap, blind)
    off = ~np.eye(len(cost), dtype=bool)
    np.testing.assert_allclose(cost[off], expected[off], rtol=1e-4, atol=1e-2)


def test_all_candidates_are_all_pairs(pieces, monkeypatch):
    """With as many candidates as pieces; with few, those that are there have the same values."""
    expected = pair_scores(pieces.inner)
    for kept in (80, 5):
        monkeypatch.setattr('mmppvit.attacks.attackers.jigsaw.candidates.candidate_matrix.'
                            '__defaults__', (.1, kept))
        found = candidate_scores(pieces.inner, pieces.blank)
        for matrix, whole in zip(found, expected, strict=True):
            own = whole[matrix.first, matrix.second]
            np.testing.assert_allclose(matrix.value, own, atol=2e-3)
            assert len(matrix.value) == 80 * 79 if kept == 80 else len(matrix.value) <= 2 * 5 * 80
            likeliest = whole.argmax(1)
            assert np.allclose(matrix[np.arange(80), likeliest], whole.max(1), atol=2e-3)


def test_the_learned_ones_too(pieces, monkeypatch):
    torch.manual_seed(0)
    net = SideBySide(16).eval()
    expected = learned_scores.learned_scores(net, pieces)
    monkeypatch.setattr(learned_scores, 'MOST_DENSE', 10)
    for matrix, whole in zip(learned_scores.learned_scores(net, pieces), expected, strict=True):
        np.testing.assert_allclose(matrix.value, whole[matrix.first, matrix.second], atol=2e-3)
        assert (matrix[np.arange(80), whole.argmax(1)] > matrix.floor).all()


def test_it_reads_as_an_array():
    matrix = CandidateMatrix(np.array([2, 0, 1]), np.array([0, 1, 2]), np.array([3., 1., 2.]), 3,
                             -2.)
    whole = np.array([[-2, 1, -2], [-2, -2, 2], [3, -2, -2]], np.float32)
    np.testing.assert_array_equal(_array(matrix), whole)
    np.testing.assert_array_equal(_array(matrix.T), whole.T)
    np.testing.assert_array_equal(matrix.max(1), whole.max(1))
    np.testing.assert_array_equal(matrix.max(0), whole.max(0))
    grid = np.array([[0, 1], [2, 2]])
    np.testing.assert_array_equal(matrix[grid, grid.T], whole[grid, grid.T])
    first, second, value = matrix.strongest(1)
    assert (first.tolist(), second.tolist(), value.tolist()) == ([0, 1, 2], [1, 2, 0], [1, 2, 3])


def _sparse(scores: PairScores, kept: int) -> PairScores:
    """The best ``kept`` of each row."""
    out = []
    for matrix in scores:
        best = np.argsort(-matrix, 1)[:, :kept]
        first = np.repeat(np.arange(len(matrix)), kept)
        out.append(CandidateMatrix(first, best.ravel(), matrix[first, best.ravel()], len(matrix),
                                   -2.))
    return PairScores(*out)


def _puzzle(shape: tuple[int, int], signal: float, seed: int = 0) -> tuple[PairScores, np.ndarray]:
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


@pytest.mark.parametrize('shape', [(1, 2), (7, 1), (5, 8), (12, 9)])
def test_clear_puzzles_are_solved(shape):
    scores, order = _puzzle(shape, 12.)
    np.testing.assert_array_equal(assemble(_sparse(scores, min(4, len(order))), shape), order)


def test_noisy_puzzles_are_solved():
    scores, order = _puzzle((12, 12), 3.5, seed=3)
    assert neighbor_accuracy(assemble(_sparse(scores, 12), (12, 12)), order, (12, 12)) >= .9


def test_pieces_without_candidates_fill_what_is_left():
    scores, order = _puzzle((6, 7), 12.)
    blank = np.zeros(42, bool)
    blank[[3, 9, 30]] = True
    sparse = _sparse(scores, 4)
    kept = PairScores(*(CandidateMatrix(*(part[~blank[m.first] & ~blank[m.second]] for part in (
        m.first, m.second, m.value)), 42, -2.) for m in sparse))
    found = assemble(kept, (6, 7), blank)
    assert sorted(found) == list(range(42))
    assert (found == order)[~blank].mean() > .9
    nothing = PairScores(*(CandidateMatrix(np.array([0]), np.array([1]), np.array([0.]), 42, -2.)
                           for _ in range(2)))
    seed = np.array([5]), np.zeros((1, 2), np.int64)
    layout = place_candidates(seed, nothing, (6, 7), np.zeros(42, bool))
    assert sorted(layout.ravel()) == list(range(42))


@pytest.mark.parametrize(('kind', 'name', 'least'), [
    (JigsawMGC, 'shuffle', .95), (JigsawLearned, 'downsample+shuffle', .4)])
def test_photographs_of_many_patches(coco_mini, monkeypatch, kind, name, least):
    """Where candidates take over, which is brought forward here."""
    for module in (assembly, solvers, learned_scores):
        monkeypatch.setattr(module, 'MOST_DENSE', 100)
    monkeypatch.setattr(learned_scores, '_WINDOW', 8)
    scheme = make_scheme(name, grid=1 if name == 'shuffle' else 2)
    pairs = []
    for file in sorted((coco_mini / 'val2017').glob('*.jpg'))[:3]:
        plain = cv2.resize(cv2.imread(str(file)), (256, 224), interpolation=cv2.INTER_AREA)
        done = scheme.encrypt(plain, Key(bytes(32)), file.name)
        pairs.append(Pair(file.name, done.img, plain, done.order))
    attacker = kind(scheme)
    attacker.fit_steps = 30
    attacker.fit(pairs[1:], Budget())
    order = attacker.reconstruct(pairs[0].encrypted).order
    assert neighbor_accuracy(order, pairs[0].order, (14, 16)) >= least
