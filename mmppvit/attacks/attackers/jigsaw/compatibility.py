"""How well any two pieces fit side by side: Mahalanobis Gradient Compatibility."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ['PairScores', 'gradient_costs', 'gradient_factors', 'log_odds', 'pair_scores']

_CHUNK = 512  # rows of the (N, N) matrices that are in work at a time, in float64


class PairScores(NamedTuple):
    """Log-odds of being neighbors against a pair picked at random, float32 (N, N) each.

    ``right[i, j]``: j is right of i. ``below[i, j]``: j is below i. 0 where nothing is known.
    Of images of many patches they are :class:`.candidates.CandidateMatrix`.
    """
    right: np.ndarray
    below: np.ndarray


def gradient_costs(inner: np.ndarray, gap: int = 0, blind: bool = False) -> np.ndarray:
    """Mahalanobis Gradient Compatibility of all pairs, second piece right of the first.

    Gallagher, *Jigsaw puzzles with pieces of unknown orientation*, CVPR 2012, equations 1 to 5:
    the step over the seam is judged by mean and covariance of the gradients within the first
    piece at its right border, with his nine dummy gradients, plus the same seen from the second.
    The squared Mahalanobis distances are expanded, so that all pairs are one product of matrices.

    Args:
        inner (ndarray): float32, (N, s, s, C), s at least 2.
        gap (int): Pixels missing at the seam; gradients are extrapolated over them.
        blind (bool): Take the offset per channel out, that fits best, before judging: for pieces
            whose own mean is lost.

    Returns:
        ndarray: float32, (N, N), infinite on the diagonal; not negative, 0 for a perfect fit.
    """
    mirrored = inner[:, :, ::-1]
    cost = _one_sided(inner, mirrored, gap, blind)
    cost += _one_sided(mirrored, inner, gap, blind).T
    np.fill_diagonal(cost, np.inf)
    return cost


def _one_sided(inner: np.ndarray, mirrored: np.ndarray, gap: int, blind: bool) -> np.ndarray:
    """Cost (N, N) by the gradients of the first piece alone; ``mirrored`` has the second."""
    left, second, own = _factors(inner, mirrored, gap, blind)
    count, second = len(left), second.T
    out = np.empty((count, count), np.float32)
    for k in range(0, count, _CHUNK):
        out[k:k + _CHUNK] = np.maximum(left[k:k + _CHUNK] @ second + own[k:k + _CHUNK, None], 0)
    return out


def gradient_factors(inner: np.ndarray, gap: int = 0, blind: bool = False
                     ) -> tuple[np.ndarray, np.ndarray]:
    """Two vectors of every piece whose products are the :func:`gradient_costs` of all pairs.

    Returns:
        tuple[ndarray, ndarray]: float64 (N, D) each; the cost of j right of i is
        ``max(first[i] @ second[j], 0)``.
    """
    mirrored = inner[:, :, ::-1]
    one, two = (_factors(*both, gap, blind) for both in ((inner, mirrored), (mirrored, inner)))
    ones = np.ones((len(inner), 1))
    return (np.concatenate([one[0], two[1], one[2][:, None], ones], 1),
            np.concatenate([one[1], two[0], ones, two[2][:, None]], 1))


def _factors(inner: np.ndarray, mirrored: np.ndarray, gap: int, blind: bool
             ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, D), (N, D) and (N, ): the cost of (i, j) is ``left[i] @ second[j] + own[i]``."""
    last, before = (inner[:, :, k].astype(np.float64) for k in (-1, -2))
    count = len(last)
    inverse, mean = _gradients(last - before)
    expected = last + mean * (gap + 1)
    first = mirrored[:, :, -1].astype(np.float64)
    if blind:
        expected = expected - expected.mean(1, keepdims=True)
        first = first - first.mean(1, keepdims=True)
    # (f - e)' S (f - e) = <S, f f'> - 2 f' S e + e' S e, summed along the border.
    weighted = expected @ inverse
    own = (weighted * expected).sum((1, 2))
    second = np.concatenate([(first.swapaxes(1, 2) @ first).reshape(count, -1),
                             first.reshape(count, -1)], 1)
    left = np.concatenate([inverse.reshape(count, -1), -2 * weighted.reshape(count, -1)], 1)
    return left, second, own


def _gradients(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse covariance (N, C, C) and mean (N, 1, C) of gradients (N, s, C)."""
    channels = steps.shape[2]
    mean = steps.mean(1, keepdims=True)
    # The dummies keep the covariance regular on flat pieces.
    dummies = np.concatenate([np.zeros((1, channels)), np.eye(channels), -np.eye(channels),
                              np.ones((1, channels)), -np.ones((1, channels))])
    steps = np.concatenate([steps, np.broadcast_to(dummies, (len(steps), *dummies.shape))], 1)
    around = steps - steps.mean(1, keepdims=True)
    return np.linalg.inv(around.swapaxes(1, 2) @ around / (steps.shape[1] - 1)), mean


def log_odds(cost: np.ndarray, exponent: float, doubt: float = .1) -> np.ndarray:
    """Log-odds of pairs from their costs, by comparing each with its rivals.

    Costs have another scale for every piece; ``cost ** -exponent``, normalized over a row or a
    column, has none. It is the likelihood of a Gaussian whose scale is unknown.

    Args:
        cost (ndarray): float32 (N, N), infinite on the diagonal.
        exponent (float): Half the degrees of freedom that a border has.
        doubt (float): Share of the probability that is spread over all pairs, as one bad seam
            must not outweigh many good ones.

    Returns:
        ndarray: float32 (N, N), mean of those over rows and over columns.
    """
    logits = np.log(cost + np.float32(1e-3))
    logits *= -exponent
    return log_odds_of_logits(logits, doubt)


def log_odds_of_logits(logits: np.ndarray, doubt: float) -> np.ndarray:
    """As :func:`log_odds`, from what a softmax makes probabilities of; -inf on the diagonal."""
    out = np.zeros_like(logits)
    for axis in (0, 1):
        share = np.exp(logits - logits.max(axis, keepdims=True))
        share *= len(share) * (1 - doubt) / share.sum(axis, keepdims=True)
        out += .5 * np.log(share + np.float32(doubt))
    return out


def pair_scores(inner: np.ndarray, gap: int = 0, blind: bool = False,
                exponent: float = 4.) -> PairScores:
    """Both directions of :func:`gradient_costs`, as log-odds. Args: see there."""
    turned = inner.swapaxes(1, 2)
    return PairScores(log_odds(gradient_costs(inner, gap, blind), exponent),
                      log_odds(gradient_costs(turned, gap, blind), exponent))
