"""Layer scale (CaiT, arXiv 2103.17239, eq. 4), folded into the projection before it.

``x + gamma * (W y + b)`` is ``x + (gamma * W) y + gamma * b``, so a block without layer scale
computes the same. DINOv2 and DeiT III have it.
"""
from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mmppvit.models.checkpoints.layouts import Source

__all__ = ['fold_layer_scale']

_GAMMA = re.compile(r'(blocks\.\d+\.)(?:ls([12])\.gamma|gamma_([12]))')
_PROJECTIONS = {'1': 'attn.proj', '2': 'mlp.fc2'}


def fold_layer_scale(source: Source) -> Source:
    """Multiply the projections of ``source``, under timm's names, by the factors after them.

    Args:
        source (Source): Tensors ``blocks.N.ls1.gamma`` (D, ) or, in DeiT III, ``blocks.N.gamma_1``
            are taken away; the others are left as they are.
    """
    for name in [name for name in source.tensors if _GAMMA.fullmatch(name)]:
        block, *which = _GAMMA.fullmatch(name).groups()
        projection = block + _PROJECTIONS[which[0] or which[1]]
        if f'{projection}.weight' not in source.tensors:
            continue  # stays, and is reported as a tensor without a place
        gamma = source.tensors[name]
        for part in ('weight', 'bias'):
            value = source.tensors.get(f'{projection}.{part}')
            if value is not None:
                source.tensors[f'{projection}.{part}'] = _times(value, gamma)
        source.drop({name: f'folded into {projection}'})
    return source


def _times(value: Tensor, gamma: Tensor) -> Tensor:
    # Not in half: rounding the products once more cost the tokens of a DINOv2 3e-4 of their norm.
    dtype = torch.promote_types(value.dtype, torch.float32)
    return value.to(dtype) * gamma.to(dtype).reshape(-1, *[1] * (value.ndim - 1))
