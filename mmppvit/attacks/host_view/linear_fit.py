"""Ridge regression and the area under the ROC curve."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ['area_under_curve', 'ridge']


def ridge(features: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
          ) -> Callable[[np.ndarray], np.ndarray]:
    """Learn a linear map.

    Args:
        features (ndarray): (N, D); they are standardized.
        targets (ndarray): (N, ) or (N, K).
        weights (ndarray, optional): (N, ), how much each counts.

    Returns:
        Callable: (M, D) -> (M, ) or (M, K).
    """
    mean, std = features.mean(0), features.std(0) + 1e-9

    def prepared(x: np.ndarray) -> np.ndarray:
        return np.concatenate([(x - mean) / std, np.ones((len(x), 1))], 1)

    x = prepared(features)
    weighted = x if weights is None else x * weights[:, None]
    total = len(x) if weights is None else weights.sum()
    penalty = .01 * total * np.eye(x.shape[1])
    penalty[-1, -1] = 1e-9 * total  # not on the offset
    solution = np.linalg.solve(weighted.T @ x + penalty, weighted.T @ targets)
    return lambda features: prepared(features) @ solution


def area_under_curve(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve; ties count half, NaN if all are of one kind."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    hits = positive.sum()
    if not 0 < hits < len(positive):
        return float('nan')
    return float((rank[positive].sum() - hits * (hits + 1) / 2) / hits / (len(positive) - hits))
