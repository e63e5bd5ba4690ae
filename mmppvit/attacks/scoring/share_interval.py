"""How much a share, such as that of the faces found, would differ with other images."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ['share_interval']

_TAIL = .025  # on each side of a 95 % interval


def share_interval(found: Sequence[float], total: Sequence[int], resamples: int = 2000,
                   seed: int = 0) -> tuple[float, float]:
    """95 % interval of ``sum(found) / sum(total)``, with images as the independent units.

    Faces of one photograph are found or missed together, so images are resampled and not faces
    (percentile bootstrap of a ratio, Efron 1979). Where nothing or everything was found, the
    bootstrap has no width; the bound of Clopper and Pearson (1934) for that many images stands in.

    Args:
        found (Sequence[float]): For each image, how much was found, at most its ``total``.
        total (Sequence[int]): For each image, how much there is.
        resamples (int): Of the bootstrap.
        seed (int): Of the draws.

    Raises:
        ValueError: There is nothing to find.
    """
    found, total = np.asarray(found, np.float64), np.asarray(total, np.float64)
    found, total = found[total > 0], total[total > 0]
    if not len(total):
        raise ValueError('an interval of a share needs images in which there is something to find')
    missed = 1 - _TAIL**(1 / len(total))
    if not found.any():
        return 0., float(missed)
    if np.array_equal(found, total):
        return float(1 - missed), 1.
    drawn = np.random.default_rng(seed).integers(0, len(total), (resamples, len(total)))
    shares = found[drawn].sum(1) / total[drawn].sum(1)
    low, high = np.quantile(shares, [_TAIL, 1 - _TAIL])
    return float(low), float(high)
