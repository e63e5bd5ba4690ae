"""The permutation that fits log-probabilities best."""
from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

__all__ = ['assign_likeliest']

_AT_ONCE = 256


def assign_likeliest(scores: np.ndarray, most: int = 1024) -> np.ndarray:
    """Give every patch a place of its own, so that the scores add up to as much as possible.

    Of more than ``most`` patches, 256 are assigned at a time, the surest first. That is not quite
    the greatest sum; all at once takes minutes for thousands of patches that look alike.

    Args:
        scores (ndarray): (N, N), of patches in rows for places in columns.
        most (int): Patches that are assigned all at once.

    Returns:
        ndarray: int64 (N, ), the place of each patch.
    """
    if len(scores) <= most:
        return linear_sum_assignment(scores, maximize=True)[1].astype(np.int64)
    places, free = np.empty(len(scores), np.int64), np.arange(len(scores))
    surest = np.argsort(-scores.max(1), kind='stable')
    for start in range(0, len(scores), _AT_ONCE):
        part = surest[start:start + _AT_ONCE]
        taken = linear_sum_assignment(scores[part][:, free], maximize=True)[1]
        places[part] = free[taken]
        free = np.delete(free, taken)
    return places
