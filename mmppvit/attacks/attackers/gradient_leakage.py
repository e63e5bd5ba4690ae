"""Gradient leakage: a client's image from the gradient that it sends to train a model.

The model of the client is known, as in federated training, and so is the number of images behind
the gradient: one. A table of positions gives every patch away, with its place, in closed form
(Lu et al., 'APRIL', CVPR 2022, arXiv 2112.14087). Without positions the gradient is the same for
the patches in any order, so no attacker can find the order in it; the patches themselves it may
tell.
"""
from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmppvit.attacks.attackers.interface import Budget
from mmppvit.models import PEViT
from mmppvit.models.layers import MixedPatchEmbed

__all__ = [
    'ClientModel',
    'GradientLeak',
    'attack_client',
    'client_gradient',
    'gradient_distance',
    'invert_gradient',
    'label_of',
    'leak_of_gradient',
    'linear_input',
    'patches_from_positions',
    'place_by_gradient',
    'to_image',
    'to_patches',
]

WEIGHT = 'backbone.patch_embed.proj.weight'
POSITIONS = 'backbone.patch_embed.positions'
HEAD_BIAS = 'head.bias'


class _PositionedEmbed(MixedPatchEmbed):
    """Patch embedding with a learned table of positions, as every other ViT has it."""

    def __init__(self, shape: tuple[int, int], **kwargs) -> None:
        super().__init__(**kwargs)
        self.positions = nn.Parameter(.02 * torch.randn(1, self.proj.out_channels, *shape))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.positions


class ClientModel(nn.Module):
    """What clients train: a PEViT, the mean of its tokens, and a linear classifier.

    Args:
        shape (tuple[int, int]): Patches down and across.
        positions (bool): Add a table of positions to the embedded patches; the rest is the same.
        patch_size (int): Side of a patch of the images that it takes, in pixels.
        num_classes (int): Of the classifier.
        arch (dict): As for :class:`mmppvit.models.PEViT`.
    """

    def __init__(self, shape: tuple[int, int] = (4, 4), positions: bool = False,
                 patch_size: int = 16, num_classes: int = 10,
                 arch: dict = dict(embed_dims=96, num_layers=2, num_heads=3)) -> None:
        super().__init__()
        self.shape, self.patch_size = tuple(shape), patch_size
        self.backbone = PEViT(dict(arch), patch_size, grid=1)
        if positions:
            embed = _PositionedEmbed(self.shape, patch_size=patch_size, grid=1,
                                     embed_dims=arch['embed_dims'])
            embed.load_state_dict(self.backbone.patch_embed.state_dict(), strict=False)
            self.backbone.patch_embed = embed
        self.head = nn.Linear(arch['embed_dims'], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, num_classes)."""
        return self.head(self.backbone(x)[-1].mean((2, 3)))


def to_patches(img: Tensor, side: int) -> Tensor:
    """(1, C, H, W) -> (N, C * side * side), patches row by row."""
    return functional.unfold(img, side, stride=side)[0].T


def to_image(patches: Tensor, shape: tuple[int, int], side: int) -> Tensor:
    """(N, C * side * side) -> (1, C, H, W), the inverse of :func:`to_patches`."""
    size = shape[0] * side, shape[1] * side
    return functional.fold(patches.T[None], size, side, stride=side)


def client_gradient(model: nn.Module, img: Tensor, label: int, graph: bool = False
                    ) -> dict[str, Tensor]:
    """Gradient of the cross-entropy of one image, by the names of the parameters.

    Args:
        model (nn.Module): From a batch of images to logits.
        img (Tensor): (1, C, H, W).
        label (int): Its class.
        graph (bool): Keep the graph, so that the gradient itself can be differentiated.
    """
    names, parameters = zip(*model.named_parameters(), strict=True)
    # Only PyTorch's eager attention has a second derivative.
    with sdpa_kernel(SDPBackend.MATH) if graph else nullcontext():
        loss = functional.cross_entropy(model(img), torch.tensor([label]))
        found = torch.autograd.grad(loss, parameters, create_graph=graph)
    return dict(zip(names, found, strict=True))


def gradient_distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> Tensor:
    """1 - cosine of the angle between two gradients, the mean of the parameters of ``other``.

    One angle over all parameters, as Geiping et al. have it, would hear the head alone, whose
    gradient is far longer than those of the blocks.
    """
    distances = []
    for name, value in other.items():
        squares = one[name].square().sum() * value.square().sum()
        distances.append(1 - (one[name] * value).sum() / squares.clamp_min(1e-60).sqrt())
    return torch.stack(distances).mean()


# --- closed forms --------------------------------------------------------------------------------


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


# --- search --------------------------------------------------------------------------------------


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


_NOISE = 1e-6  # rounding of a cosine in 32 bits: less is no difference


# --- what leaks ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class GradientLeak:
    """What a gradient told of one image.

    Args:
        psnr (float): Of the recovered image, in dB.
        psnr_any_order (float): Of its patches, each compared with the plain patch that it is
            assigned to, wherever that is: what is recovered up to the order.
        in_place (float): Share of the patches that are most like the plain patch of their place, by
            that assignment.
        chance (float): What guessing the order gives, 1 / N.
    """
    psnr: float
    psnr_any_order: float
    in_place: float
    chance: float


def leak_of_gradient(img: Tensor, recovered: Tensor, side: int) -> GradientLeak:
    """Score ``recovered`` against ``img``, both (1, 3, H, W) with values in [-1, 1]."""
    plain, found = (to_patches(each, side).double().numpy() for each in (img, recovered))
    cost = ((found[:, None] - plain[None])**2).mean(2)
    places = linear_sum_assignment(cost)[1]
    errors = np.diag(cost).mean(), cost[np.arange(len(cost)), places].mean()
    psnr, any_order = (min(10 * np.log10(4 / max(error, 1e-12)), 100.) for error in errors)
    return GradientLeak(float(psnr), float(any_order),
                        float((places == np.arange(len(places))).mean()), 1 / len(places))


def attack_client(img: np.ndarray, patch_size: int = 16, label: int = 0, steps: int = 600,
                  seed: int = 0, budget: Budget | None = None) -> dict[str, GradientLeak]:
    """Every attack on one image, of a model with positions and of one without, untrained.

    Args:
        img (ndarray): uint8 (H, W, 3); sides multiples of ``patch_size``. Small: the search takes
            several passes through the model a step.
        patch_size (int): In pixels of ``img``.
        label (int): Its class, 0 to 9.
        steps (int): Of the search.
        seed (int): Of model, search and order.
        budget (Budget, optional): Searches stop when it is used up.

    Returns:
        dict[str, GradientLeak]: By attack. Those called 'patches known' are given all patches as
        they are and look for the order alone.
    """
    x = torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1)))[None].float() / 127.5 - 1
    shape = img.shape[0] // patch_size, img.shape[1] // patch_size
    leaks = {}
    for positions in (True, False):
        torch.manual_seed(seed)
        model = ClientModel(shape, positions, patch_size).eval()
        gradients = client_gradient(model, x, label)
        patches = to_patches(x, patch_size)
        order = place_by_gradient(model, gradients, patches, shape, seed)
        found = {'search': invert_gradient(model, gradients, img.shape[:2], steps, seed=seed,
                                           budget=budget),
                 'patches known': to_image(patches[torch.from_numpy(order)], shape, patch_size)}
        if positions:
            found['closed form'] = to_image(patches_from_positions(gradients), shape, patch_size)
        kind = 'with positions' if positions else 'without positions'
        leaks.update({f'{kind}, {name}': leak_of_gradient(x, each.clamp(-1, 1), patch_size)
                      for name, each in found.items()})
    return leaks
