"""Scores of images of thousands of patches: the best candidates of every patch, not all pairs.

4,200 patches (1333x800 pixels) have 17.6 million pairs on each side. Costs of all pairs are
products of two short vectors, computed for a few hundred patches at a time; the probabilities are
those of all pairs, and only the likeliest ones are kept.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from mmppvit.attacks.attackers.jigsaw.compatibility import PairScores, gradient_factors

__all__ = ['CandidateMatrix', 'candidate_matrix', 'candidate_scores', 'log_gradient_costs',
           'without_self']

_CHUNK = 256  # patches whose pairs are in work at a time
_KEPT = 48  # candidates of a patch on each side
Logits = Callable[[slice], np.ndarray]  # rows -> float (rows, N), -inf where a patch meets itself


class CandidateMatrix:
    """A float32 (N, N) matrix of log-odds of which most entries are ``floor`` and not stored.

    It can be read as an array: ``matrix[i, j]`` with two arrays that broadcast, ``matrix.T``,
    ``matrix.max(axis)`` and ``len(matrix)``.

    Args:
        first, second (ndarray): int64 (M, ), the pairs, each once.
        value (ndarray): float32 (M, ), not below ``floor``.
        count (int): N.
        floor (float): Of all other pairs.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray, value: np.ndarray, count: int,
                 floor: float) -> None:
        order = np.argsort(first * count + second)
        self.first, self.second = first[order], second[order]
        self.value = value[order].astype(np.float32)
        self.count, self.floor = count, np.float32(floor)
        self._keys = self.first * count + self.second
        self._start = np.searchsorted(self.first, np.arange(count + 1))

    def __len__(self) -> int:
        return self.count

    @cached_property
    def T(self) -> CandidateMatrix:  # noqa: N802, as of an array
        return CandidateMatrix(self.second, self.first, self.value, self.count, self.floor)

    def row(self, piece: int) -> tuple[np.ndarray, np.ndarray]:
        """Candidates of ``piece`` and their values."""
        part = slice(self._start[piece], self._start[piece + 1])
        return self.second[part], self.value[part]

    def __getitem__(self, index: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        first, second = (np.asarray(part) for part in index)
        if first.ndim == 2 and first.shape[1] == 1 and second.ndim == 1:
            return self._block(first[:, 0], second)  # far faster than one pair at a time
        first, second = np.broadcast_arrays(first, second)
        keys = first * self.count + second
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self.value[at], self.floor)

    def _block(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        out = np.full((len(first), len(second)), self.floor, np.float32)
        column = np.full(self.count, -1)
        column[second] = np.arange(len(second))
        for line, piece in zip(out, first, strict=True):
            found, value = self.row(piece)
            there = column[found]
            line[there[there >= 0]] = value[there >= 0]
        return out

    def max(self, axis: int) -> np.ndarray:
        out = np.full(self.count, self.floor)
        np.maximum.at(out, self.first if axis == 1 else self.second, self.value)
        return out

    def strongest(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best ``count`` candidates of every piece: first, second and value, (K, ) each."""
        order = np.lexsort((-self.value, self.first))
        rank = np.arange(len(order)) - self._start[self.first[order]]
        kept = order[rank < count]
        return self.first[kept], self.second[kept], self.value[kept]


def candidate_matrix(rows: Logits, columns: Logits, count: int, blank: np.ndarray,
                     doubt: float = .1, kept: int = _KEPT) -> CandidateMatrix:
    """The likeliest pairs, with the values that ``log_odds_of_logits`` gives them among all.

    Args:
        rows (Callable): Logits of patches against all that may lie right of them.
        columns (Callable): Logits of patches against all that may lie left of them.
        count (int): N.
        blank (ndarray): bool (N, ), patches that show nothing.
        doubt (float): See there.
        kept (int): Pairs of a patch, for each of the two.
    """
    (over_rows, near), (over_columns, nearest) = (
        _nearest(logits, count, kept) for logits in (rows, columns))
    pieces = np.repeat(np.arange(count), near[0].shape[1])
    first = np.concatenate([pieces, nearest[0].ravel()])
    second = np.concatenate([near[0].ravel(), pieces])
    logit = np.concatenate([near[1].ravel(), nearest[1].ravel()])
    keys, where = np.unique(first * count + second, return_index=True)
    (first, second), logit = np.divmod(keys, count), logit[where]
    value = .5 * sum(np.log(np.exp(logit - total) * count * (1 - doubt) + doubt)
                     for total in (over_rows[first], over_columns[second]))
    good = np.isfinite(logit) & ~blank[first] & ~blank[second]
    return CandidateMatrix(first[good], second[good], value[good], count, np.log(doubt))


def _nearest(logits: Logits, count: int, kept: int
             ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Logarithm of the sum over all, (N, ); the likeliest and their logits, (N, kept) each."""
    kept = min(kept, count)
    total = np.empty(count)
    which, best = np.empty((count, kept), np.int64), np.empty((count, kept))
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        values = logits(part)
        which[part] = np.argpartition(values, -kept, 1)[:, -kept:]
        best[part] = np.take_along_axis(values, which[part], 1)
        highest = best[part].max(1, keepdims=True)
        total[part] = highest[:, 0] + np.log(np.exp(values - highest).sum(1))
    return total, (which, best)


def log_gradient_costs(inner: np.ndarray, gap: int, blind: bool) -> tuple[Logits, Logits]:
    """Logarithms of :func:`gradient_costs`, by rows and by columns."""
    first, second = gradient_factors(inner, gap, blind)

    def logarithms(one: np.ndarray, other: np.ndarray) -> Logits:
        return lambda part: np.log(np.maximum(one[part] @ other.T, 0) + 1e-3)

    return logarithms(first, second), logarithms(second, first)


def without_self(logits: Logits) -> Logits:
    """-inf where a patch meets itself."""
    def masked(part: slice) -> np.ndarray:
        values = logits(part)
        at = np.arange(len(values))
        values[at, at + part.start] = -np.inf
        return values
    return masked


def candidate_scores(inner: np.ndarray, blank: np.ndarray, gap: int = 0, blind: bool = False,
                     exponent: float = 4.) -> PairScores:
    """As ``pair_scores``, of the likeliest pairs. Args: see there, and ``candidate_matrix``."""
    matrices = []
    for pieces in (inner, inner.swapaxes(1, 2)):
        logits = [without_self(lambda part, costs=costs: -exponent * costs(part))
                  for costs in log_gradient_costs(pieces, gap, blind)]
        matrices.append(candidate_matrix(*logits, len(inner), blank))
    return PairScores(*matrices)
