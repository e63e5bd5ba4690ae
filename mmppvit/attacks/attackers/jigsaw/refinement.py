"""Refinement of an assembled image: many pieces at a time, by their scores as a whole."""
from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmppvit.attacks.attackers.jigsaw.compatibility import PairScores

__all__ = ['largest_segment', 'layout_score', 'propagate', 'reassign']


def layout_score(layout: np.ndarray, scores: PairScores, odds: np.ndarray | None = None) -> float:
    """Sum of the log-odds of all neighbors in ``layout``, int64 (rows, cols).

    ``odds``: float (cells, pieces), log-odds of pieces for cells, which are added where they are
    known.
    """
    alone = 0. if odds is None else odds[np.arange(layout.size), layout.ravel()].sum(
        dtype=np.float64)
    return float(scores.right[layout[:, :-1], layout[:, 1:]].sum(dtype=np.float64)
                 + scores.below[layout[:-1], layout[1:]].sum(dtype=np.float64) + alone)


def reassign(layout: np.ndarray, scores: PairScores, rounds: int = 40,
             odds: np.ndarray | None = None) -> np.ndarray:
    """Put the pieces of all black, then of all white squares of a chess board where they fit best.

    No two squares of one color are neighbors, so that each step is an assignment problem,
    solved exactly: the score of the whole never falls. Ends when neither color has a gain. ``odds``
    as in :func:`layout_score`.
    """
    layout = layout.copy()
    black = np.indices(layout.shape).sum(0) % 2 == 0
    idle = 0
    for k in range(rounds):
        cells = np.nonzero(black if k % 2 else ~black)
        pieces = layout[cells]
        votes = _votes(layout, scores, cells, pieces)
        if odds is not None:
            votes += odds[np.flatnonzero(black if k % 2 else ~black)[:, None], pieces]
        chosen = linear_sum_assignment(votes, maximize=True)[1]
        gain = votes[np.arange(len(chosen)), chosen].sum() - np.trace(votes)
        idle = 0 if gain > 1e-3 else idle + 1
        if idle == 2:
            break
        if not idle:
            layout[cells] = pieces[chosen]
    return layout


def _votes(layout: np.ndarray, scores: PairScores, cells: tuple[np.ndarray, np.ndarray],
           pieces: np.ndarray) -> np.ndarray:
    """(cells, pieces): what each piece would score in each cell with the neighbors it has."""
    votes = np.zeros((len(cells[0]), len(pieces)), np.float32)
    for down, across, matrix in ((0, -1, scores.right), (-1, 0, scores.below),
                                 (0, 1, scores.right.T), (1, 0, scores.below.T)):
        row, col = cells[0] + down, cells[1] + across
        inside = (row >= 0) & (row < layout.shape[0]) & (col >= 0) & (col < layout.shape[1])
        votes[inside] += matrix[layout[row[inside], col[inside]][:, None], pieces]
    return votes


def largest_segment(layout: np.ndarray, scores: PairScores,
                    blank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pieces (M, ) and places (M, 2) of the largest part whose seams are all best buddies.

    Each is the other's best neighbor on that side (Pomeranz et al., CVPR 2011, section 4.3).
    """
    places = np.arange(layout.size).reshape(layout.shape)
    seams = []
    for matrix, near, far in ((scores.right, np.s_[:, :-1], np.s_[:, 1:]),
                              (scores.below, np.s_[:-1], np.s_[1:])):
        first, second = layout[near], layout[far]
        good = matrix[first, second] >= np.maximum(matrix.max(1)[first], matrix.max(0)[second])
        good &= ~blank[first] & ~blank[second]
        seams.append(np.stack([places[near][good], places[far][good]]))
    first, second = np.concatenate(seams, 1)
    links = coo_array((np.ones(len(first), np.int8), (first, second)), (layout.size, ) * 2)
    label = connected_components(links, directed=False)[1]
    sizes = np.bincount(label[~blank[layout.ravel()]], minlength=1)
    cells = np.flatnonzero(label == sizes.argmax())
    where = np.stack(np.divmod(cells, layout.shape[1]), 1)
    return layout.ravel()[cells], where - where.min(0)


def propagate(layout: np.ndarray, scores: PairScores, rounds: int = 30,
              trust: float = 1., odds: np.ndarray | None = None) -> np.ndarray:
    """Loopy belief propagation over which piece lies where, starting around ``layout``.

    As Cho, Avidan and Freeman, *A probabilistic image jigsaw puzzle solver*, CVPR 2010, with the
    odds of pairs as potentials and a factor for every piece that keeps it from being believed in
    many places at once. Time grows as N ** 3.

    Args:
        layout (ndarray): int64 (rows, cols); fixes where in the frame the image lies.
        scores (PairScores): Of all pairs.
        rounds (int): Of messages.
        trust (float): Log-odds that a piece lies where ``layout`` has it.
        odds (ndarray, optional): As in :func:`layout_score`; part of what is believed from the
            beginning.

    Returns:
        ndarray: int64 (rows, cols), the assignment of the greatest belief.
    """
    count = layout.size
    prior = np.ones((count, count), np.float32)
    prior[np.arange(count), layout.ravel()] = np.exp(trust)
    if odds is not None:
        prior *= np.exp(odds)
    prior = prior.reshape(*layout.shape, count)
    right, below = np.exp(scores.right), np.exp(scores.below)
    # (odds, the cells that send, those that get): to the right, to the left, down, up.
    ways = ((right, np.s_[:, :-1], np.s_[:, 1:]), (right.T, np.s_[:, 1:], np.s_[:, :-1]),
            (below, np.s_[:-1], np.s_[1:]), (below.T, np.s_[1:], np.s_[:-1]))
    got = [np.ones_like(prior) for _ in ways]
    belief = prior
    for _ in range(rounds):
        sent = [_message(belief[sender], got[back][sender], odds)
                for (odds, sender, _), back in zip(ways, (1, 0, 3, 2), strict=True)]
        for old, new, (_, _, getter) in zip(got, sent, ways, strict=True):
            old[getter] = np.sqrt(old[getter] * new)  # damped, as it would swing otherwise
        belief, prior = _beliefs(prior, got)
    belief = np.log(belief.reshape(count, count) + np.float32(1e-20))
    return linear_sum_assignment(belief, maximize=True)[1].reshape(layout.shape)


def _message(belief: np.ndarray, got_back: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """What cells (..., N) tell their neighbors, without what those had told them."""
    own = belief / np.maximum(got_back, np.float32(1e-12))
    own /= own.sum(-1, keepdims=True) + np.float32(1e-30)
    out = (own.reshape(-1, own.shape[-1]) @ odds).reshape(own.shape)
    return out / out.mean(-1, keepdims=True)


def _beliefs(prior: np.ndarray, got: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Beliefs that add up to 1 in each cell, and the prior with pieces in demand made dearer."""
    belief = prior * got[0] * got[1] * got[2] * got[3]
    belief /= belief.sum(-1, keepdims=True) + np.float32(1e-30)
    demand = np.maximum(belief.sum((0, 1)), np.float32(1e-12))
    price = 1 / np.sqrt(demand)
    belief *= price
    belief /= belief.sum(-1, keepdims=True) + np.float32(1e-30)
    prior = prior * price
    return belief, prior / prior.mean(-1, keepdims=True)
