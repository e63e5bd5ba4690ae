"""PEViT, a vision transformer without positions, as a detection backbone."""
from __future__ import annotations

import torch
from mmdet.registry import MODELS
from timm.layers import trunc_normal_
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmppvit.models.backbones.vit_backbone import ViTBackbone
from mmppvit.models.layers import (
    MixedPatchEmbed,
    ReferenceEncoding,
    build_blocks,
    init_vit_weights,
    resolve_arch,
    vit_norm,
)

__all__ = ['PEViT']


@MODELS.register_module()
class PEViT(ViTBackbone):
    """Position-free ViT (Hao et al., arXiv 2306.03679) for images mixed with ``grid``.

    No position enters anywhere: shuffling the patches of the input shuffles the cells of the
    output in the same way and changes nothing else. The class token of the classifier is left out
    unless ``class_token``. The stride of the output is ``patch_size / grid`` pixels of the mixed
    image, which are ``patch_size`` pixels of the plain one.

    ImageNet weights come through ``init_cfg=dict(type='Pretrained', checkpoint=FILE)``, FILE
    being a timm or DeiT ViT, another PEViT or a detector with one, as ``.pth`` or
    ``.safetensors``: see :func:`mmppvit.models.checkpoints.load_pretrained`.

    Args:
        arch (str | dict): 'tiny', 'small', 'base' (DeiT's), or a dict with ``embed_dims``,
            ``num_layers``, ``num_heads`` and optionally ``mlp_ratio``.
        patch_size (int): Side of a patch of the plain image in pixels.
        grid (int): Sub-patches per side that were mixed into one; 1 for plain images.
        in_channels (int): Channels of the image.
        nonlinear_embed (bool): The paper's embedding with GELU and a 1x1 convolution.
        reference_encoding (bool): The paper's reference-based encoding after the embedding.
        out_indices (int | Sequence[int]): Blocks whose output is returned; may be negative. Those
            after the last one are not built.
        drop_path_rate (float): Stochastic depth of the last block; it grows linearly up to it.
        frozen_stages (int): -1 trains all, 0 freezes the embedding, n the first n blocks also.
        with_cp (bool): Recompute the blocks in the backward pass to save memory.
        num_points (int, optional): Attention through so many learned points in every block, whose
            cost grows with the number of patches and not with its square: see
            :class:`mmppvit.models.layers.InducedAttention`. ImageNet weights of full attention do
            not fit.
        final_norm (bool): Layer norm on the output of the last block.
        class_token (bool): One token more, the same for all images, that patches attend to and no
            output has, as the blocks of most pretrained ViTs know it. It has no place, so
            shuffling is as without it.
        init_cfg (dict, optional): Initialization; see above. ``prefix`` selects the tensors below a
            name, as MMEngine's does;
            ``kernel`` is 'pinv', 'bicubic' or 'direct', how a kernel of another size is resampled.
    """

    position_free = True

    def __init__(self,
                 arch: str | dict = 'small',
                 patch_size: int = 16,
                 grid: int = 2,
                 in_channels: int = 3,
                 nonlinear_embed: bool = False,
                 reference_encoding: bool = True,
                 out_indices: int | tuple[int, ...] = -1,
                 drop_path_rate: float = 0.,
                 frozen_stages: int = -1,
                 with_cp: bool = False,
                 num_points: int | None = None,
                 final_norm: bool = True,
                 class_token: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        arch = resolve_arch(arch)
        self.embed_dims = arch['embed_dims']
        self.num_layers = arch['num_layers']
        self.out_indices = self._resolve_indices(out_indices)
        self.with_cp = with_cp
        self.patch_embed = MixedPatchEmbed(patch_size, grid, in_channels, self.embed_dims,
                                           nonlinear_embed)
        self.reference_encoding = ReferenceEncoding(self.embed_dims) \
            if reference_encoding else nn.Identity()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims)) if class_token else None
        # Blocks or norms whose output nobody reads would have no gradient, which DDP refuses.
        self.blocks = build_blocks(arch, drop_path_rate, num_built=self.out_indices[-1] + 1,
                                   num_points=num_points)
        use_norm = final_norm and self.num_layers - 1 in self.out_indices
        self.norm = vit_norm(self.embed_dims) if use_norm else nn.Identity()
        self.frozen_stages = self._check_frozen(frozen_stages)
        self.apply(init_vit_weights)
        if class_token:
            trunc_normal_(self.cls_token, std=.02)
        self._freeze()

    def _resolve_indices(self, indices: int | tuple[int, ...]) -> tuple[int, ...]:
        indices = (indices, ) if isinstance(indices, int) else tuple(indices)
        resolved = tuple(sorted(i + self.num_layers if i < 0 else i for i in indices))
        if not resolved or resolved[0] < 0 or resolved[-1] >= self.num_layers:
            raise ValueError(f'out_indices {indices} do not fit {self.num_layers} blocks')
        return resolved

    def _check_frozen(self, stages: int) -> int:
        if not -1 <= stages <= self.num_layers:
            raise ValueError(f'frozen_stages {stages} is not between -1 and the number of blocks, '
                             f'{self.num_layers}')
        return stages

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        return [self.patch_embed, self.reference_encoding, *self.blocks[:self.frozen_stages]]

    def _freeze(self) -> None:
        for module in self._frozen_modules():
            module.eval()
            module.requires_grad_(False)
        if self.frozen_stages >= 0 and self.cls_token is not None:
            self.cls_token.requires_grad_(False)

    def train(self, mode: bool = True) -> PEViT:
        super().train(mode)
        self._freeze()
        return self

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, C, H, W) -> one (B, D, H / stride, W / stride) for each of ``out_indices``."""
        x = self.patch_embed(x)
        shape = x.shape[2:]
        x = self.reference_encoding(x.flatten(2).transpose(1, 2))
        lead = 0
        if self.cls_token is not None:
            x, lead = torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1), 1
        outs = []
        for i, block in enumerate(self.blocks):
            if self.with_cp and x.requires_grad:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
            if i in self.out_indices:
                out = self.norm(x) if i == self.num_layers - 1 else x
                outs.append(out[:, lead:].transpose(1, 2).unflatten(2, shape).contiguous())
        return tuple(outs)

