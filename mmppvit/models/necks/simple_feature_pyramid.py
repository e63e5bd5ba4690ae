"""ViTDet's simple feature pyramid, with room for context before it."""
from __future__ import annotations

import math

import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from timm.layers import LayerNorm2d
from timm.models.convnext import ConvNeXtBlock
from torch import nn

__all__ = ['SimpleFeaturePyramid']

MODELS.register_module('LayerNorm2d', module=LayerNorm2d)


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """All levels of a pyramid from the one map of a plain backbone (Li et al., ViTDet, 2022).

    Level k has stride ``stride of the backbone / scale_factors[k]``: transposed convolutions
    for factors above 1, max pooling for those below. Each level then passes a 1x1 and a 3x3
    convolution.

    Args:
        in_channels (int): Channels of the backbone's map.
        out_channels (int): Channels of every level.
        scale_factors (Sequence[float]): Powers of two, in descending order.
        num_outs (int, optional): Levels to return; those beyond ``scale_factors`` are
            subsampled from the last one. Defaults to ``len(scale_factors)``.
        num_blocks (int): ConvNeXt blocks (Liu et al., 2022) on the backbone's map before the
            levels. A backbone without positions cannot tell which tokens are neighbors; these
            can, at a small part of the cost of convolutions in the head.
        kernel_size (int): Of each level's last convolution, 3 as in ViTDet. With 1, no blocks
            and no factors below 1 no token meets another one.
        norm_cfg (dict, optional): Norm after every convolution; None for none. 'LayerNorm2d' is
            ViTDet's: over the channels, at every position.
        contiguous (bool): Whether all levels lie channel by channel in memory. The norm leaves them
            pixel by pixel, which is faster; heads that ``view`` the outputs of their convolutions,
            such as CenterNet's, need this.
        init_cfg (dict, optional): Initialization.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int = 256,
                 scale_factors: tuple[float, ...] = (4., 2., 1., .5),
                 num_outs: int | None = None,
                 num_blocks: int = 0,
                 kernel_size: int = 3,
                 norm_cfg: dict | None = dict(type='mmdet.LayerNorm2d', eps=1e-6),
                 contiguous: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        exponents = _exponents(scale_factors)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.contiguous = contiguous
        self.kernel_size = kernel_size
        self.num_outs = len(exponents) if num_outs is None else num_outs
        if self.num_outs < len(exponents):
            raise ValueError(f'num_outs {num_outs} is less than the {len(exponents)} scale_factors')
        self.blocks = nn.Sequential(*(ConvNeXtBlock(in_channels) for _ in range(num_blocks)))
        self.levels = nn.ModuleList(
            self._build_level(exponent, norm_cfg) for exponent in exponents)

    def _build_level(self, exponent: int, norm_cfg: dict | None) -> nn.Sequential:
        layers: list[nn.Module] = []
        channels = self.in_channels
        for step in range(exponent):
            if step:  # between two transposed convolutions, not after the last
                layers += _norm_and_act(channels, norm_cfg)
            layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
            channels //= 2
        if exponent < 0:
            layers.append(nn.MaxPool2d(2**-exponent))
        conv_cfg = dict(norm_cfg=norm_cfg, act_cfg=None, bias=norm_cfg is None)
        layers.append(ConvModule(channels, self.out_channels, 1, **conv_cfg))
        layers.append(
            ConvModule(self.out_channels, self.out_channels, self.kernel_size,
                       padding=self.kernel_size // 2, **conv_cfg))
        return nn.Sequential(*layers)

    def forward(self, inputs: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """(B, C, H, W), or a tuple whose last map counts -> levels (B, out_channels, H_k, W_k)."""
        x = inputs if isinstance(inputs, torch.Tensor) else inputs[-1]
        x = self.blocks(x)
        outs = [level(x) for level in self.levels]
        while len(outs) < self.num_outs:
            outs.append(outs[-1][..., ::2, ::2])
        return tuple(out.contiguous() for out in outs) if self.contiguous else tuple(outs)


def _exponents(scale_factors: tuple[float, ...]) -> list[int]:
    exponents = [math.log2(scale) if scale > 0 else math.nan for scale in scale_factors]
    if not exponents or not all(e.is_integer() for e in exponents) or exponents != sorted(
            exponents, reverse=True):
        raise ValueError(
            f'scale_factors must be powers of two in descending order, got {scale_factors}')
    return [int(e) for e in exponents]


def _norm_and_act(channels: int, norm_cfg: dict | None) -> list[nn.Module]:
    norm = [] if norm_cfg is None else [build_norm_layer(norm_cfg, channels)[1]]
    return [*norm, nn.GELU()]
