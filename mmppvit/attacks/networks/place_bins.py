"""Places as shares of height and width, so that networks mean the same at all sizes of images."""
from __future__ import annotations

import torch
from torch import Tensor

__all__ = ['shares_of_bins']


def shares_of_bins(count: int, bins: int) -> Tensor:
    """The share of every bin in each row, or column, of an image.

    Args:
        count (int): Rows, or columns.
        bins (int): Classes that a network tells apart.

    Returns:
        Tensor: float32 (count, bins), rows of sum 1, linear between the middles of bins.
    """
    at = ((torch.arange(count) + .5) / count * bins - .5).clamp(0, bins - 1)
    return (1 - (at[:, None] - torch.arange(bins)).abs()).clamp(min=0)
