"""What the vision transformers here share: sizes, blocks, initialization."""
from __future__ import annotations

from functools import partial

from timm.layers import trunc_normal_
from timm.models.vision_transformer import Block
from torch import nn

from mmppvit.models.layers.induced_attention import InducedAttention

__all__ = ['VIT_ARCHS', 'build_blocks', 'init_vit_weights', 'resolve_arch', 'vit_norm']

VIT_ARCHS = {  # those of DeiT
    'tiny': dict(embed_dims=192, num_layers=12, num_heads=3),
    'small': dict(embed_dims=384, num_layers=12, num_heads=6),
    'base': dict(embed_dims=768, num_layers=12, num_heads=12),
}

vit_norm = partial(nn.LayerNorm, eps=1e-6)


def resolve_arch(arch: str | dict) -> dict:
    """``embed_dims``, ``num_layers``, ``num_heads`` and ``mlp_ratio`` of a name or a dict."""
    if isinstance(arch, str):
        if arch not in VIT_ARCHS:
            raise ValueError(f'arch {arch!r} is unknown: choose one of {sorted(VIT_ARCHS)} or '
                             'give a dict with embed_dims, num_layers and num_heads')
        arch = VIT_ARCHS[arch]
    needed = {'embed_dims', 'num_layers', 'num_heads'}
    if set(arch) - needed - {'mlp_ratio'} or needed - set(arch):
        raise ValueError(f'arch needs embed_dims, num_layers, num_heads and may have mlp_ratio; '
                         f'got {sorted(arch)}')
    if arch['embed_dims'] % arch['num_heads']:
        raise ValueError(f'embed_dims {arch["embed_dims"]} is not a multiple of num_heads '
                         f'{arch["num_heads"]}')
    return {'mlp_ratio': 4., **arch}


def build_blocks(arch: dict, drop_path_rate: float = 0., num_built: int | None = None,
                 num_points: int | None = None) -> nn.ModuleList:
    """timm's pre-norm blocks, with stochastic depth growing linearly to ``drop_path_rate``.

    Args:
        arch (dict): As from :func:`resolve_arch`.
        drop_path_rate (float): Of the last of ``num_layers`` blocks.
        num_built (int, optional): Build only the first so many.
        num_points (int, optional): Of :class:`InducedAttention` in place of full attention.
    """
    layers = arch['num_layers']
    rates = [drop_path_rate * i / max(layers - 1, 1) for i in range(layers)]
    blocks = nn.ModuleList(
        Block(arch['embed_dims'], arch['num_heads'], arch['mlp_ratio'], qkv_bias=True,
              drop_path=rate, norm_layer=vit_norm) for rate in rates[:num_built])
    if num_points is not None:
        for block in blocks:
            block.attn = InducedAttention(arch['embed_dims'], arch['num_heads'], num_points)
    return blocks


def init_vit_weights(module: nn.Module) -> None:
    """DeiT's initialization, for ``Module.apply``."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        trunc_normal_(module.weight, std=.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
