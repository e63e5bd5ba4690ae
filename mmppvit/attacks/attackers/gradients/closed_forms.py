"""What is in a gradient exactly: labels, inputs of linear layers, patches that have positions."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmppvit.attacks.attackers.gradients.client_model import HEAD_BIAS, POSITIONS, WEIGHT

__all__ = ['label_of', 'linear_input', 'patches_from_positions']


def label_of(gradients: Mapping[str, Tensor], bias: str = HEAD_BIAS) -> int:
    """The class of a single image: the one whose bias is pulled up (Zhao et al., 'iDLG', 2020).
    """
    return int(gradients[bias].argmin())


def linear_input(weight: Tensor, bias: Tensor) -> Tensor:
    """Input of a linear layer that saw one vector, exactly.

    With ``y = W x + b`` the gradient of W is ``d x^T`` and that of b is ``d``, so any row of the
    one over its entry of the other is ``x``; the row of the largest is taken.

    Args:
        weight (Tensor): (D, K), gradient of the weight.
        bias (Tensor): (D, ), gradient of the bias.

    Returns:
        Tensor: (K, ).
    """
    row = bias.abs().argmax()
    return weight[row] / bias[row]


def patches_from_positions(gradients: Mapping[str, Tensor], weight: str = WEIGHT,
                           positions: str = POSITIONS) -> Tensor:
    """All patches, each in its place, from the gradients of embedding and positions.

    The gradient of the table is that of every embedded patch, ``d_n``, and the gradient of the
    embedding's weight is ``sum_n d_n x_n^T``: linear equations for the patches ``x_n``, solved
    by least squares. They have one solution where the ``d_n`` are linearly independent, so for no
    more patches than the embedding has channels.

    Args:
        gradients (Mapping[str, Tensor]): From :func:`client_gradient`.
        weight (str): The embedding's weight, (D, C, p, p).
        positions (str): The table, (1, D, h, w).

    Returns:
        Tensor: (N, C * p * p).

    Raises:
        ValueError: The model has no such table.
    """
    if positions not in gradients:
        raise ValueError(f'the model has no parameter {positions}: there is nothing that tells '
                         'the gradients of single patches')
    tokens = gradients[positions][0].flatten(1).double()  # (D, N)
    kernel = gradients[weight].flatten(1).double()  # (D, C p p)
    return torch.linalg.lstsq(tokens, kernel, driver='gelsd').solution.float()
