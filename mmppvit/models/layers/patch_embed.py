"""Patch embedding of mixed images."""
from __future__ import annotations

import torch
from torch import nn

from mmppvit.encryption import check_grid

__all__ = ['MixedPatchEmbed']


class MixedPatchEmbed(nn.Module):
    """Tokens from a mixed image: one per patch, from its one remaining sub-patch.

    A mixed image has side 1 / ``grid`` of the plain one, so the kernel has the side of a
    sub-patch. The linear embedding equals pooling the embedded sub-patches of the plain image,
    ``AvgPool(Conv(x)) == Conv(mix(x))``; the nonlinear one is the paper's (PEYOLOS in Hao et
    al., arXiv 2306.03679): the convolution, GELU, a 1x1 convolution.

    Args:
        patch_size (int): Side of a patch of the plain image in pixels.
        grid (int): Sub-patches per side; 1 for plain images.
        in_channels (int): Channels of the image.
        embed_dims (int): D, channels of a token.
        nonlinear (bool): GELU and a 1x1 convolution after the linear embedding.
    """

    def __init__(self,
                 patch_size: int = 16,
                 grid: int = 2,
                 in_channels: int = 3,
                 embed_dims: int = 192,
                 nonlinear: bool = False) -> None:
        super().__init__()
        self.stride = check_grid(patch_size, grid)
        self.patch_size = patch_size
        self.grid = grid
        self.proj = nn.Conv2d(in_channels, embed_dims, self.stride, self.stride)
        self.mixer = nn.Sequential(nn.GELU(), nn.Conv2d(embed_dims, embed_dims, 1)) \
            if nonlinear else nn.Identity()

    def start_as_torch(self) -> None:
        """Initialize the convolutions as PyTorch does: the released models leave them so."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, D, H / stride, W / stride)."""
        if x.shape[1] != self.proj.in_channels:
            raise ValueError(
                f'the image has {x.shape[1]} channels and the patch embedding expects '
                f"{self.proj.in_channels}: load it with color_type='color', or set in_channels "
                "(and the preprocessor's mean and std) to match")
        for name, side in (('height', x.shape[2]), ('width', x.shape[3])):
            if side % self.stride:
                raise ValueError(
                    f'image {name} {side} is not a multiple of the sub-patch {name} {self.stride} '
                    f'(patch {self.patch_size}, grid {self.grid}): set '
                    f'data_preprocessor.pad_size_divisor={self.stride} or a multiple of it')
        return self.mixer(self.proj(x))
