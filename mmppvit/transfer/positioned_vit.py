"""A plain vision transformer with its positions and class token, as it was pretrained."""
from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from mmppvit.models.checkpoints.embedding import KERNEL, Embedding
from mmppvit.models.checkpoints.layouts import guess_source, read_vit, strip_wrappers
from mmppvit.models.checkpoints.positions import split_table
from mmppvit.models.checkpoints.vit_shapes import CLASSIFIER_HEADS, find_arch
from mmppvit.models.layers import MixedPatchEmbed, build_blocks, resolve_arch, vit_norm

__all__ = ['PositionedViT', 'arch_of']

_UNUSED = (*CLASSIFIER_HEADS, 'dist_token', 'mask_token')


def arch_of(state: Mapping[str, Tensor], num_heads: int | None = None) -> dict:
    """Sizes of a ViT; where they are none that has a name, heads have 64 channels unless given.

    Raises:
        ValueError: It is not the checkpoint of a ViT.
    """
    source = strip_wrappers(state)
    arch = find_arch(read_vit(source, guess_source(source.tensors)), None)
    heads = num_heads or arch.get('num_heads') or max(arch['embed_dims'] // 64, 1)
    return resolve_arch({**arch, 'num_heads': heads})


class PositionedViT(nn.Module):
    """Patch tokens of a ViT of timm, DeiT, DINOv2, MAE or Hugging Face, positions and all.

    The embedding is made one for mixed images as :class:`~mmppvit.models.PEViT`'s is, since mixing
    keeps the order of the patches. Positions are resized to the image (bicubic, antialiased).
    Without positions and class token in ``state`` it computes what a PEViT computes.

    Args:
        state (Mapping[str, Tensor]): The checkpoint.
        patch_size (int): Side of a patch of the plain image in pixels.
        grid (int): Sub-patches per side; 1 for plain images.
        kernel (str): How a kernel of another patch size is resampled.
        num_heads (int, optional): See :func:`arch_of`.

    Raises:
        ValueError: Tensors are missing or of another shape.
    """

    def __init__(self, state: Mapping[str, Tensor], patch_size: int = 16, grid: int = 1,
                 kernel: str = 'pinv', num_heads: int | None = None) -> None:
        super().__init__()
        arch = arch_of(state, num_heads)
        source = strip_wrappers(state)
        tensors = {name: value.float() for name, value in
                   read_vit(source, guess_source(source.tensors)).tensors.items()
                   if name.partition('.')[0] not in _UNUSED}
        self.patch_embed = MixedPatchEmbed(patch_size, grid, tensors[KERNEL].shape[1],
                                           arch['embed_dims'])
        self.blocks = build_blocks(arch)
        self.norm = vit_norm(arch['embed_dims'])
        lead = [tensors.pop(name) for name in ('cls_token', 'reg_token') if name in tensors]
        table = tensors.pop('pos_embed', torch.zeros(1, 1, arch['embed_dims']))
        first, patches = split_table(table)
        self.cells = math.isqrt(patches.shape[1])
        self.register_buffer('positions', patches)
        tokens = torch.cat(lead, 1) if lead else torch.zeros(1, 0, arch['embed_dims'])
        # A table has rows for the class token, or for all of them, or for none.
        tokens[:, :first.shape[1]] += first[:, :tokens.shape[1]]
        self.register_buffer('lead', tokens)
        embedding = Embedding(patch_size, grid, resampling=kernel)
        if embedding.must_adapt(tensors[KERNEL], plain=True):
            tensors[KERNEL] = embedding.adapt(tensors[KERNEL])[0]
        tensors.setdefault('patch_embed.proj.bias', torch.zeros(arch['embed_dims']))
        self._load(tensors)

    def _load(self, tensors: dict[str, Tensor]) -> None:
        own = {name: value for name, value in self.state_dict().items()
               if name not in ('positions', 'lead')}
        wrong = sorted(name for name in own.keys() | tensors.keys()
                       if name not in own or name not in tensors
                       or own[name].shape != tensors[name].shape)
        if wrong:
            raise ValueError(f'this is not the checkpoint of a plain ViT: {len(wrong)} tensors '
                             f'differ, e.g. {wrong[:3]}')
        self.load_state_dict(tensors, strict=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, N, D), after the final norm, row by row."""
        x = self.patch_embed(x)
        size = list(x.shape[2:])
        table = resample_abs_pos_embed(self.positions, size, [self.cells] * 2,
                                       num_prefix_tokens=0)
        x = x.flatten(2).transpose(1, 2) + table
        x = torch.cat((self.lead.expand(len(x), -1, -1), x), 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, self.lead.shape[1]:]
