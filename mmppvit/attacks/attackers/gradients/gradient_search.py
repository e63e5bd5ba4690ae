"""Search for an image, or an order of patches, that has the gradient of a client."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from mmppvit.attacks.attackers.gradients.client_model import (
    client_gradient,
    gradient_distance,
    to_image,
)
from mmppvit.attacks.attackers.gradients.closed_forms import label_of
from mmppvit.attacks.attackers.interface import Budget

__all__ = ['invert_gradient', 'place_by_gradient']

_NOISE = 1e-6  # rounding of a cosine in 32 bits: less is no difference


def invert_gradient(model: nn.Module, gradients: Mapping[str, Tensor], size: tuple[int, int],
                    steps: int = 600, variation: float = 1e-2, step_size: float = .03,
                    seed: int = 0, budget: Budget | None = None) -> Tensor:
    """Search for an image of the same gradient (Geiping et al., NeurIPS 2020, arXiv 2003.14053).

    Cosine distance of the gradients, parameter by parameter, plus total variation; Adam on the
    sign of the gradient, the step lowered three times, from noise; of all steps the image
    nearest in gradient is kept. Of a small network without attention it finds the image. Of
    :class:`ClientModel` it finds far less than there is to be found: where there are positions,
    :func:`patches_from_positions` has the whole image from the very same gradient. So what it
    misses without positions is no proof that it is not there.

    Args:
        model (nn.Module): As the client had it.
        gradients (Mapping[str, Tensor]): What the client sent.
        size (tuple[int, int]): Height and width of the image, which takes values in [-1, 1].
        steps (int): Of the search.
        variation (float): Weight of the total variation.
        step_size (float): Of the first steps.
        seed (int): Of the noise.
        budget (Budget, optional): Stop when it is used up.

    Returns:
        Tensor: (1, 3, H, W).
    """
    label = label_of(gradients)
    noise = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(seed))
    img = (.3 * noise).clamp(-1, 1).requires_grad_()
    optimizer = torch.optim.Adam([img], lr=step_size)
    schedule = torch.optim.lr_scheduler.MultiStepLR(
        optimizer, [steps * part // 8 for part in (3, 5, 7)], gamma=.1)
    best, nearest = img.detach().clone(), float('inf')
    for _ in range(steps):
        distance = gradient_distance(client_gradient(model, img, label, graph=True), gradients)
        if float(distance.detach()) < nearest:
            best, nearest = img.detach().clone(), float(distance.detach())
        loss = distance + variation * _total_variation(img)
        img.grad, = torch.autograd.grad(loss, img)
        img.grad.sign_()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            img.clamp_(-1, 1)
        if budget is not None and budget.exhausted:
            break
    return best


def _total_variation(img: Tensor) -> Tensor:
    return img.diff(dim=2).abs().mean() + img.diff(dim=3).abs().mean()


def place_by_gradient(model: nn.Module, gradients: Mapping[str, Tensor], patches: Tensor,
                      shape: tuple[int, int], seed: int = 0, sweeps: int = 10) -> np.ndarray:
    """The order in which ``patches`` have the gradient that the client sent.

    This attacker is even given the patches, as they are, in an order that says nothing. It begins
    with a random one and swaps two places whenever that brings the gradient clearly nearer, until
    no swap does.

    Args:
        model (nn.Module): As the client had it.
        gradients (Mapping[str, Tensor]): What the client sent.
        patches (Tensor): (N, C * p * p).
        shape (tuple[int, int]): Patches down and across.
        seed (int): Of the order to begin with.
        sweeps (int): Rounds over all pairs of places, at most.

    Returns:
        ndarray: int64 (N, ); place k gets ``patches[order[k]]``.
    """
    label, side = label_of(gradients), round((patches.shape[1] / 3)**.5)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(patches))

    def distance(order: np.ndarray) -> float:
        img = to_image(patches[torch.from_numpy(order)], shape, side)
        return float(gradient_distance(client_gradient(model, img, label), gradients))

    nearest = distance(order)
    for _ in range(sweeps):
        before = nearest
        for first in range(len(order)):
            for second in range(first):
                swapped = order.copy()
                swapped[[first, second]] = order[[second, first]]
                found = distance(swapped)
                if found < nearest - _NOISE:
                    order, nearest = swapped, found
        if nearest == before:
            break
    return order
