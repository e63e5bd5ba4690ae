"""Places as shares of height and width, so that networks mean the same at all sizes of images."""
from __future__ import annotations

import torch
from torch import Tensor

__all__ = ['log_places', 'shares_of_bins']


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


def log_places(logits: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the rows and the columns that an image has.

    Logits are interpolated and normalized over rows. A cross-entropy over bins instead would teach
    which bins the middles of rows fall into at one size, and be wrong at all others.

    Args:
        logits (Tensor): (N, 2, bins), of rows and of columns.
        shape (tuple[int, int]): Rows and columns of the image.

    Returns:
        tuple[Tensor, Tensor]: (N, rows) and (N, cols).
    """
    row, col = ((logits[:, axis] @ shares_of_bins(count, logits.shape[2]).T).log_softmax(1)
                for axis, count in enumerate(shape))
    return row, col
