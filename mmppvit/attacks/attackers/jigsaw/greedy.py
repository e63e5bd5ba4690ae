"""Greedy assembly: a reliable component first, then one piece after the other around it."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmppvit.attacks.attackers.jigsaw.candidates import CandidateMatrix
from mmppvit.attacks.attackers.jigsaw.compatibility import PairScores

__all__ = ['largest_tree', 'place_around']

_RIVALS = 10  # best neighbors of a piece that are looked at, on each side


def largest_tree(scores: PairScores, shape: tuple[int, int],
                 blank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest component that the best pairs make when joined, best ones first.

    Kruskal's minimum spanning tree whose components must not overlap (Gallagher, CVPR 2012,
    section 5), nor be larger than the image.

    Returns:
        tuple[ndarray, ndarray]: Pieces, int64 (M, ), and their places, int64 (M, 2), from 0 on.
    """
    count = len(blank)
    owner, place = np.arange(count), np.zeros((count, 2), np.int64)
    members = {k: np.array([k]) for k in range(count)}
    for first, second, step in _best_pairs(scores, blank):
        if owner[first] == owner[second]:
            continue
        shift = place[first] + step - place[second]
        if len(members[owner[first]]) < len(members[owner[second]]):
            first, second, shift = second, first, -shift
        fixed, moved = members[owner[first]], members[owner[second]]
        moved_to = place[moved] + shift
        if _fit_together(place[fixed], moved_to, shape):
            place[moved] = moved_to
            del members[owner[second]]
            owner[moved] = owner[first]
            members[owner[first]] = np.concatenate([fixed, moved])
    tree = max((m for k, m in members.items() if not blank[m].any()), key=len)
    return tree, place[tree] - place[tree].min(0)


def _best_pairs(scores: PairScores, blank: np.ndarray) -> Iterator[tuple]:
    """(first, second, step from one to the other), most likely ones first."""
    count, found = len(blank), []
    rivals = min(_RIVALS, count)
    for matrix, step in ((scores.right, (0, 1)), (scores.below, (1, 0))):
        if isinstance(matrix, CandidateMatrix):
            first, second, value = matrix.strongest(rivals)
        else:
            nearest = np.argpartition(matrix, -rivals, 1)[:, -rivals:].ravel()
            pairs = np.unique(np.repeat(np.arange(count), rivals) * count + nearest)
            value = matrix.ravel()[pairs]
            first, second = np.divmod(pairs, count)
        good = (value > 0) & ~blank[first] & ~blank[second] & (first != second)
        found += [(v, i, j, step) for v, i, j in zip(
            value[good].tolist(), first[good].tolist(), second[good].tolist(), strict=True)]
    found.sort(key=lambda pair: -pair[0])
    return ((i, j, np.array(step)) for _, i, j, step in found)


def _fit_together(fixed: np.ndarray, moved: np.ndarray, shape: tuple[int, int]) -> bool:
    """Whether two sets of places (M, 2) do not overlap, within an image of ``shape``."""
    low = np.minimum(fixed.min(0), moved.min(0))
    if (np.maximum(fixed.max(0), moved.max(0)) - low >= shape).any():
        return False
    taken = np.zeros(shape, bool)
    taken[tuple((fixed - low).T)] = True
    return not taken[tuple((moved - low).T)].any()


def place_around(seed: tuple[np.ndarray, np.ndarray], scores: PairScores, shape: tuple[int, int],
                 blank: np.ndarray) -> np.ndarray:
    """Add to ``seed`` whatever fits best to all that is there already; blank pieces at last.

    Pomeranz et al., CVPR 2011, and Paikin and Tal, CVPR 2015, with sums of log-odds for scores:
    two or three neighbors that agree outweigh one. The frame of the image is not fixed before
    the pieces fill it.

    Args:
        seed (tuple[ndarray, ndarray]): Pieces and places, as from :func:`largest_tree`.
        scores (PairScores): Of all pairs, 0 for blank pieces.
        shape (tuple[int, int]): Rows and columns of the image.
        blank (ndarray): bool (N, ).

    Returns:
        ndarray: int64 (rows, cols), the piece in every place.
    """
    canvas = _Canvas(scores, shape)
    for piece, place in zip(*seed, strict=True):
        canvas.put(piece, *(place + shape))
    free = ~blank
    free[seed[0]] = False
    while free.any():
        cells, pieces = canvas.open_cells(), np.flatnonzero(free)
        votes = canvas.votes[cells[:, None], pieces]
        cell, piece = np.divmod(votes.argmax(), len(pieces))
        canvas.put(pieces[piece], *divmod(cells[cell], canvas.width))
        free[pieces[piece]] = False
    layout = canvas.image()
    layout[layout < 0] = np.setdiff1d(np.arange(len(blank)), layout)
    return layout


class _Canvas:
    """A plane with room for the image on every side of its first piece."""

    def __init__(self, scores: PairScores, shape: tuple[int, int]) -> None:
        self.shape, self.width = shape, 3 * shape[1]
        size = 3 * shape[0] * self.width
        self.piece = np.full(size, -1)
        self.touched = np.zeros(size, bool)
        # Memory is taken for lines that are written to only: cells next to pieces.
        self.votes = np.zeros((size, len(scores.right)), np.float32)
        self.low, self.high = np.full(2, size), np.full(2, -1)
        self.rows, self.cols = np.divmod(np.arange(size), self.width)
        self.steps = ((1, scores.right), (self.width, scores.below),
                      (-1, scores.right.T), (-self.width, scores.below.T))

    def put(self, piece: int, row: int, col: int) -> None:
        cell = row * self.width + col
        self.piece[cell] = piece
        self.low, self.high = np.minimum(self.low, (row, col)), np.maximum(self.high, (row, col))
        for step, matrix in self.steps:
            self.votes[cell + step] += matrix[piece]
            self.touched[cell + step] = True

    def open_cells(self) -> np.ndarray:
        """Free ones beside a piece that keep the whole within the image's size."""
        cells = np.flatnonzero(self.touched & (self.piece < 0))
        places = np.stack([self.rows[cells], self.cols[cells]], 1)
        extent = np.maximum(self.high, places) - np.minimum(self.low, places)
        return cells[(extent < self.shape).all(1)]

    def image(self) -> np.ndarray:
        rows, cols = self.shape
        return self.piece.reshape(-1, self.width)[self.low[0]:self.low[0] + rows,
                                                  self.low[1]:self.low[1] + cols].copy()
