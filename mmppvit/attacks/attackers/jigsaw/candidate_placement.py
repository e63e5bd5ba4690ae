"""Greedy placement of thousands of pieces: a queue of the best candidates of open cells."""
from __future__ import annotations

import heapq

import numpy as np

from mmppvit.attacks.attackers.jigsaw.compatibility import PairScores

__all__ = ['place_candidates']


def place_candidates(seed: tuple[np.ndarray, np.ndarray], scores: PairScores,
                     shape: tuple[int, int], blank: np.ndarray) -> np.ndarray:
    """As :func:`.greedy.place_around`, in time that grows with the candidates alone.

    Args:
        seed (tuple[ndarray, ndarray]): Pieces and places, as from :func:`.greedy.largest_tree`.
        scores (PairScores): Of :class:`.candidates.CandidateMatrix`.
        shape (tuple[int, int]): Rows and columns of the image.
        blank (ndarray): bool (N, ).

    Returns:
        ndarray: int64 (rows, cols), the piece in every place.
    """
    board = _Board(scores, shape, ~blank)
    for piece, (row, col) in zip(*seed, strict=True):
        board.put(int(piece), (int(row), int(col)))
    while board.left:
        cell, piece = board.best() or board.any()
        board.put(piece, cell)
    layout = board.image()
    layout[layout < 0] = np.setdiff1d(np.arange(len(blank)), layout)
    return layout


_Cell = tuple[int, int]


class _Board:
    """An open plane; what lies on it may not grow larger than the image."""

    def __init__(self, scores: PairScores, shape: tuple[int, int], free: np.ndarray) -> None:
        self.shape, self.free, self.left = shape, free.copy(), int(free.sum())
        self.steps = (((0, 1), scores.right), ((1, 0), scores.below),
                      ((0, -1), scores.right.T), ((-1, 0), scores.below.T))
        # Candidates are worth more than nothing; every neighbor without one costs the floor.
        self.floor = float(scores.right.floor)
        self.piece: dict[_Cell, int] = {}
        self.votes: dict[_Cell, dict[int, float]] = {}  # of open cells, above the floor
        self.beside: dict[_Cell, int] = {}  # neighbors of open cells
        self.queue: list[tuple[float, _Cell, int]] = []
        self.low, self.high = [10**9] * 2, [-10**9] * 2

    def put(self, piece: int, cell: _Cell) -> None:
        self.piece[cell] = piece
        self.free[piece] = False
        self.left -= 1
        self.low = [min(a, b) for a, b in zip(self.low, cell, strict=True)]
        self.high = [max(a, b) for a, b in zip(self.high, cell, strict=True)]
        self.votes.pop(cell, None)
        self.beside.pop(cell, None)
        for (down, across), matrix in self.steps:
            beside = cell[0] + down, cell[1] + across
            if beside in self.piece:
                continue
            votes = self.votes.setdefault(beside, {})
            self.beside[beside] = self.beside.get(beside, 0) + 1
            found, values = matrix.row(piece)
            for other, value in zip(found.tolist(), values.tolist(), strict=True):
                votes[other] = votes.get(other, 0.) + value - self.floor
            self._queue_best(beside)

    def _queue_best(self, cell: _Cell) -> None:
        """Its best free piece; what was queued of it before is out of date."""
        votes = self.votes[cell]
        best = max((other for other in votes if self.free[other]), key=votes.__getitem__,
                   default=None)
        if best is not None:
            value = votes[best] + self.beside[cell] * self.floor
            heapq.heappush(self.queue, (-value, cell, best))

    def _fits(self, cell: _Cell) -> bool:
        return all(max(high, at) - min(low, at) < extent for low, high, at, extent in
                   zip(self.low, self.high, cell, self.shape, strict=True))

    def best(self) -> tuple[_Cell, int] | None:
        """The cell and the piece that fit best; None if no open cell has a candidate left."""
        while self.queue:
            value, cell, piece = heapq.heappop(self.queue)
            if cell not in self.votes or not self._fits(cell):
                continue  # filled, or outside the image: it will never be within again
            if not self.free[piece]:
                self._queue_best(cell)
                continue
            if -value >= self.votes[cell][piece] + self.beside[cell] * self.floor - 1e-6:
                return cell, piece
        return None

    def any(self) -> tuple[_Cell, int]:
        """An open cell, and the first free piece."""
        cell = next(cell for cell in self.votes if self._fits(cell))
        return cell, int(np.argmax(self.free))

    def image(self) -> np.ndarray:
        layout = np.full(self.shape, -1)
        for (row, col), piece in self.piece.items():
            layout[row - self.low[0], col - self.low[1]] = piece
        return layout
