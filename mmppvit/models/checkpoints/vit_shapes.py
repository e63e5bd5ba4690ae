"""What PEViT and PEYOLOS have in common: the sizes, the blocks, the embedding."""
from __future__ import annotations

from collections.abc import Mapping

import torch

from mmppvit.models.checkpoints.embedding import KERNEL, Embedding
from mmppvit.models.checkpoints.fitting import Fitting
from mmppvit.models.checkpoints.layouts import Source
from mmppvit.models.layers import VIT_ARCHS, resolve_arch

__all__ = [
    'CLASSIFIER_HEADS', 'absent_bias', 'block_shapes', 'check_released_embedding',
    'fill_final_norm', 'find_arch',
    'is_plain', 'name_of'
]

CLASSIFIER_HEADS = ('head', 'head_dist', 'fc_norm', 'pre_logits')

def find_arch(source: Source, arch: str | dict | None) -> dict:
    """``arch`` resolved or, if None, what the tensors say; these do not tell ``num_heads``.

    Raises:
        ValueError: There is no patch embedding, or there are no blocks.
    """
    if arch is not None:
        return resolve_arch(arch)
    try:
        dims = len(source.tensors[KERNEL])
        hidden = len(source.tensors['blocks.0.mlp.fc1.weight'])
    except KeyError as err:
        raise ValueError(f'the checkpoint has no {err.args[0]}: it is not of a ViT with '
                         "timm's blocks") from None
    layers = 1 + max(int(name.split('.')[1]) for name in source.tensors
                     if name.startswith('blocks.'))
    found = dict(embed_dims=dims, num_layers=layers, mlp_ratio=hidden / dims)
    for known in VIT_ARCHS:
        if found.items() <= resolve_arch(known).items():
            return resolve_arch(known)
    return found


def block_shapes(arch: Mapping) -> dict[str, torch.Size]:
    """Names and shapes of the blocks and the final norm of a ViT, as timm has them."""
    dims, hidden = arch['embed_dims'], int(arch['embed_dims'] * arch['mlp_ratio'])
    layers = {'attn.qkv': (3 * dims, dims), 'attn.proj': (dims, dims),
              'mlp.fc1': (hidden, dims), 'mlp.fc2': (dims, hidden)}
    block = {'norm1.weight': (dims, ), 'norm1.bias': (dims, ), 'norm2.weight': (dims, ),
             'norm2.bias': (dims, )}
    for name, shape in layers.items():
        block |= {f'{name}.weight': shape, f'{name}.bias': shape[:1]}
    shapes = {f'blocks.{i}.{name}': shape for i in range(arch['num_layers'])
              for name, shape in block.items()}
    shapes |= {'norm.weight': (dims, ), 'norm.bias': (dims, )}
    return {name: torch.Size(shape) for name, shape in shapes.items()}


def name_of(arch: Mapping) -> str | dict:
    """The name of ``arch``, if it has one."""
    return next((name for name in VIT_ARCHS if resolve_arch(name) == arch), dict(arch))


def is_plain(source: Source, layout: str) -> bool:
    """Whether the kernel is certainly one for plain images.

    That of a PEViT may be for mixed ones. Its classifier has a class token, too, so what tells
    it from timm's ViTs is that it has no positions.
    """
    return layout in ('yolos', 'vitdet', 'pevit') or (
        layout != 'peyolos' and 'pos_embed' in source.tensors)


def absent_bias(source: Source, prefix: str = '') -> dict[str, str]:
    """The embedding's bias and why it starts from 0, if the source, a CLIP, has none."""
    bias = KERNEL.replace('weight', 'bias')
    return {} if bias in source.tensors else {prefix + bias: 'CLIP has no such bias: 0'}


def check_released_embedding(source: Source, embedding: Embedding) -> None:
    """Raise ValueError unless ``embedding`` is that of the released PEYOLOS in ``source``.

    A linear one cannot be made of the nonlinear one, nor one for plain images.
    """
    side = source.tensors[KERNEL].shape[-1]
    if (embedding.patch_size, embedding.grid) != (2 * side, 2):
        raise ValueError(f'the embedding of this PEYOLOS is for mixed images, --patch-size '
                         f'{2 * side} --grid 2, and cannot be made one of patch size '
                         f'{embedding.patch_size}, grid {embedding.grid}')
    if not embedding.nonlinear:
        raise ValueError('the embedding of this PEYOLOS is nonlinear and cannot be made linear: '
                         'use --nonlinear-embed')


def fill_final_norm(fitting: Fitting) -> None:
    """Ones and zeros for ViTDet, whose last block no norm follows."""
    dtype = fitting.source.tensors[KERNEL].dtype
    for name, value in (('weight', 1.), ('bias', 0.)):
        target = f'{fitting.prefix}norm.{name}'
        fitting.state[target] = torch.full(fitting.target[target], value, dtype=dtype)
        fitting.report.initialized[target] = 'ViTDet has no final norm; written as 1 and 0'
