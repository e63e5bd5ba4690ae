"""From scores of pairs to an image: greedy assembly, then refinement of the whole."""
from __future__ import annotations

import numpy as np

from mmppvit.attacks.attackers.jigsaw.candidate_placement import place_candidates
from mmppvit.attacks.attackers.jigsaw.candidates import CandidateMatrix
from mmppvit.attacks.attackers.jigsaw.compatibility import PairScores
from mmppvit.attacks.attackers.jigsaw.greedy import largest_tree, place_around
from mmppvit.attacks.attackers.jigsaw.refinement import (
    largest_segment,
    layout_score,
    propagate,
    reassign,
)
from mmppvit.attacks.networks.likely_order import assign_likeliest

__all__ = ['MOST_DENSE', 'assemble', 'assemble_in_cells']

_RESTARTS = 4  # from the largest good segment; later ones hardly ever gain
_PROPAGATIONS = 2
_RESTARTS_OF_LARGE = 1
MOST_DENSE = 1600  # pieces; of more, solvers score candidates, and beliefs are not propagated


def assemble(scores: PairScores, shape: tuple[int, int],
             blank: np.ndarray | None = None) -> np.ndarray:
    """Put pieces together so that the scores of all neighbors add up to much.

    A tree of the best pairs is the seed for placing one piece after the other; the result is
    refined by exact reassignment, by starting again from its largest good segment, and by belief
    propagation, and the layout of the greatest score is kept.

    Args:
        scores (PairScores): Of all pairs, or of the candidates of an image of many.
        shape (tuple[int, int]): Rows and columns of the image, N together.
        blank (ndarray, optional): bool (N, ), pieces that show nothing and go where room is left.

    Returns:
        ndarray: int64 (N, ), where each piece belongs, in the convention of ``Pair.order``.

    Raises:
        ValueError: Scores, shape and blanks are not of one number of pieces.
    """
    count = len(scores.right)
    blank = np.zeros(count, bool) if blank is None else blank
    if shape[0] * shape[1] != count or blank.shape != (count, ):
        raise ValueError(f'{count} x {count} scores do not fit {shape[0]} x {shape[1]} patches, '
                         f'{len(blank)} of them known to be blank or not')
    if blank.all():
        return np.arange(count)
    large = isinstance(scores.right, CandidateMatrix)
    if not large:
        scores = PairScores(*(np.where(blank[:, None] | blank, np.float32(0), s) for s in scores))
    place = place_candidates if large else place_around
    seed = largest_tree(scores, shape, blank)
    best = reassign(place(seed, scores, shape, blank), scores)
    layout = best
    for _ in range(_RESTARTS_OF_LARGE if large else _RESTARTS):
        seed = largest_segment(layout, scores, blank)
        layout = reassign(place(seed, scores, shape, blank), scores)
        best = max(best, layout, key=lambda one: layout_score(one, scores))
    if not large and count <= MOST_DENSE:
        best = _propagated(best, scores)
    best = _moved(best, scores) if large else _framed(best, scores)
    order = np.empty(count, np.int64)
    order[best.ravel()] = np.arange(count)
    return order


def _propagated(best: np.ndarray, scores: PairScores) -> np.ndarray:
    for _ in range(_PROPAGATIONS):
        layout = reassign(propagate(best, scores), scores)
        if layout_score(layout, scores) <= layout_score(best, scores):
            break
        best = layout
    return best


def _moved(best: np.ndarray, scores: PairScores) -> np.ndarray:
    """As :func:`_framed`, by rolling alone, and one reassignment at last."""
    for _ in range(sum(best.shape)):
        layout = max((np.roll(best, step, axis) for axis in (0, 1) for step in (-1, 1)),
                     key=lambda one: layout_score(one, scores))
        if layout_score(layout, scores) <= layout_score(best, scores):
            break
        best = layout
    return reassign(best, scores)


def _framed(best: np.ndarray, scores: PairScores) -> np.ndarray:
    """Move the whole by a line of patches as long as that helps; what falls off comes back."""
    for _ in range(sum(best.shape)):
        layouts = [reassign(np.roll(best, step, axis), scores)
                   for axis in (0, 1) for step in (-1, 1)]
        layout = max(layouts, key=lambda one: layout_score(one, scores))
        if layout_score(layout, scores) <= layout_score(best, scores):
            break
        best = layout
    return best


def assemble_in_cells(scores: PairScores, odds: np.ndarray, shape: tuple[int, int],
                      blank: np.ndarray | None = None) -> np.ndarray:
    """As :func:`assemble`, where something is known of which piece lies in which cell, too.

    Begins once with the likeliest permutation by ``odds`` alone, and once with what
    :func:`assemble` makes of the pairs alone, moved where it fits the odds best. Both are refined
    by beliefs from pairs and cells together and by exact reassignment; the likelier one is kept.

    Args:
        scores (PairScores): Of all pairs, or of the candidates of an image of many.
        odds (ndarray): float32 (cells, pieces): log-odds of pieces for cells, row by row.
        shape (tuple[int, int]): Rows and columns of the image.
        blank (ndarray, optional): bool (N, ), pieces that show nothing; their odds must be 0.

    Returns:
        ndarray: int64 (N, ), where each piece belongs.

    Raises:
        ValueError: Scores, odds, shape and blanks are not of one number of pieces.
    """
    count = shape[0] * shape[1]
    if odds.shape != (count, count):
        raise ValueError(f'odds of shape {odds.shape} do not fit {shape[0]} x {shape[1]} patches')
    order = assemble(scores, shape, blank)
    alone = assign_likeliest(odds, MOST_DENSE).reshape(shape)
    layouts = [_refined(start, scores, odds) for start in (
        alone, _fitted(np.argsort(order).reshape(shape), scores, odds))]
    best = max(layouts, key=lambda one: layout_score(one, scores, odds))
    order[best.ravel()] = np.arange(count)
    return order


def _fitted(layout: np.ndarray, scores: PairScores, odds: np.ndarray) -> np.ndarray:
    """Rolled by so many rows and columns that it scores most."""
    rolled = (np.roll(layout, (down, across), (0, 1))
              for down in range(layout.shape[0]) for across in range(layout.shape[1]))
    return max(rolled, key=lambda one: layout_score(one, scores, odds))


def _refined(layout: np.ndarray, scores: PairScores, odds: np.ndarray) -> np.ndarray:
    best = reassign(layout, scores, odds=odds)
    if layout.size > MOST_DENSE:  # beliefs would take hours and GB
        return best
    for _ in range(_PROPAGATIONS):
        layout = reassign(propagate(best, scores, odds=odds), scores, odds=odds)
        if layout_score(layout, scores, odds) <= layout_score(best, scores, odds):
            break
        best = layout
    return best
