"""The model that clients train, and the gradient that they send."""
from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmppvit.models import PEViT
from mmppvit.models.layers import MixedPatchEmbed

__all__ = ['HEAD_BIAS', 'POSITIONS', 'WEIGHT', 'ClientModel', 'client_gradient',
           'gradient_distance', 'to_image', 'to_patches']

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
