"""The costs of :func:`.compatibility.gradient_costs` by PyTorch, on whatever device pieces are."""
from __future__ import annotations

import torch
from torch import Tensor

__all__ = ['log_pair_costs']


def log_pair_costs(inner: Tensor, gap: int) -> Tensor:
    """Logarithms of the costs of all pairs, second piece right of the first.

    Args:
        inner (Tensor): float32, (N, s, s, C), s at least 2.
        gap (int): Pixels missing at the seam.

    Returns:
        Tensor: float32, (2, N, N), plain and blind to offsets; finite on the diagonal, too.
    """
    inner = inner.double()  # squares of large numbers are subtracted from each other
    mirrored = inner.flip(2)
    costs = [_one_sided(inner, mirrored, gap, blind) + _one_sided(mirrored, inner, gap, blind).T
             for blind in (False, True)]
    return torch.stack(costs).add(1e-3).log()


def _one_sided(inner: Tensor, mirrored: Tensor, gap: int, blind: bool) -> Tensor:
    """Cost (N, N) by the gradients of the first piece alone; ``mirrored`` has the second."""
    last, before = inner[:, :, -1], inner[:, :, -2]
    inverse, mean = _gradients(last - before)
    expected, first = last + mean * (gap + 1), mirrored[:, :, -1]
    if blind:
        expected, first = (line - line.mean(1, keepdim=True) for line in (expected, first))
    # (f - e)' S (f - e) = <S, f f'> - 2 f' S e + e' S e, summed along the border.
    weighted = expected @ inverse
    own = (weighted * expected).sum((1, 2))
    left = torch.cat([inverse.flatten(1), -2 * weighted.flatten(1)], 1)
    second = torch.cat([(first.mT @ first).flatten(1), first.flatten(1)], 1)
    return (left @ second.T + own[:, None]).clamp(min=0).float()


def _gradients(steps: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse covariance (N, C, C) and mean (N, 1, C) of gradients (N, s, C)."""
    mean = steps.mean(1, keepdim=True)
    # The dummies keep the covariance regular on flat pieces.
    units = torch.cat([torch.eye(steps.shape[2]), torch.ones(1, steps.shape[2])]).to(steps)
    dummies = torch.cat([units, -units, torch.zeros_like(units[:1])])
    steps = torch.cat([steps, dummies.expand(len(steps), -1, -1)], 1)
    around = steps - steps.mean(1, keepdim=True)
    covariance = around.mT @ around / (steps.shape[1] - 1)
    return torch.linalg.inv_ex(covariance).inverse, mean  # inv would wait for a GPU, to check
