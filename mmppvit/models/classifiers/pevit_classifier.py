"""PEViT as an image classifier, in timm's conventions."""
from __future__ import annotations

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers import trunc_normal_
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmppvit.models.layers import (
    VIT_ARCHS,
    MixedPatchEmbed,
    ReferenceEncoding,
    build_blocks,
    init_vit_weights,
    resolve_arch,
    vit_norm,
)

__all__ = ['PEViTClassifier', 'mix_image_batch']


def mix_image_batch(x: torch.Tensor, patch_size: int, grid: int) -> torch.Tensor:
    """MI on a batch, without rounding: every patch becomes the mean of its sub-patches.

    Not a pooling of neighboring pixels: pixel (i, j) of all sub-patches of a patch is averaged,
    as :func:`mmppvit.encryption.mix_sub_patches` does on 8-bit images.

    Args:
        x (Tensor): (B, C, H, W), floating point.
        patch_size (int): Side of a patch in pixels.
        grid (int): Sub-patches per side.

    Returns:
        Tensor: (B, C, H / grid, W / grid).

    Raises:
        ValueError: A side of the images is not a multiple of the patch.
    """
    batch, channels, height, width = x.shape
    if height % patch_size or width % patch_size:
        raise ValueError(f'images of {height}x{width} are not whole patches of {patch_size}: '
                         f'choose an image size that is a multiple of {patch_size}')
    side = patch_size // grid
    parts = x.reshape(batch, channels, height // patch_size, grid, side,
                      width // patch_size, grid, side)
    return parts.mean((3, 6)).reshape(batch, channels, height // grid, width // grid)


class PEViTClassifier(nn.Module):
    """Position-free ViT (PEViT in Hao et al., arXiv 2306.03679): its logits do not depend on the
    order of the patches.

    DeiT without position embeddings. The reference-based encoding is applied to the patch tokens,
    and the class token is put before them afterwards. Parts that the detection backbone
    :class:`mmppvit.models.PEViT` has, too, have the same names. Any image size will do.

    Args:
        patch_size (int): Side of a patch of the plain image in pixels.
        grid (int): Sub-patches per side that were mixed into one; 1 for plain images.
        in_chans (int): Channels of the image.
        num_classes (int): 0 leaves the head out.
        global_pool (str): 'token' for the class token, 'avg' for the mean of the patch tokens, ''
            for all tokens.
        embed_dim (int): D, channels of a token.
        depth (int): Number of blocks.
        num_heads (int): Attention heads; they divide ``embed_dim``.
        mlp_ratio (float): Hidden channels of a block's MLP over ``embed_dim``.
        nonlinear_embed (bool): GELU and a 1x1 convolution after the embedding.
        reference_encoding (bool): The paper's reference-based encoding.
        mix_input (bool): Take plain images and mix them here, so that trainers which know nothing
            of mixing can train weights for mixed images.
        shuffle_tokens (bool): Permute the patch tokens of every image at random, in training and
            evaluation, as the released model does after mixup. The logits do not change.
        torch_embed_init (bool): Start the convolution of the embedding as PyTorch does, which is
            how the released model starts, and not from a truncated normal.
        drop_rate (float): Dropout before the head.
        drop_path_rate (float): Stochastic depth of the last block; it grows linearly up to it.
    """

    def __init__(self,
                 patch_size: int = 16,
                 grid: int = 1,
                 in_chans: int = 3,
                 num_classes: int = 1000,
                 global_pool: str = 'token',
                 embed_dim: int = 192,
                 depth: int = 12,
                 num_heads: int = 3,
                 mlp_ratio: float = 4.,
                 nonlinear_embed: bool = False,
                 reference_encoding: bool = True,
                 mix_input: bool = False,
                 shuffle_tokens: bool = False,
                 torch_embed_init: bool = False,
                 drop_rate: float = 0.,
                 drop_path_rate: float = 0.) -> None:
        super().__init__()
        arch = resolve_arch(dict(embed_dims=embed_dim, num_layers=depth, num_heads=num_heads,
                                 mlp_ratio=mlp_ratio))
        self.num_features = self.head_hidden_size = self.embed_dim = self.embed_dims = embed_dim
        self.num_layers = depth
        self.mix_input = mix_input
        self.shuffle_tokens = shuffle_tokens
        self.grad_checkpointing = False
        self.patch_embed = MixedPatchEmbed(patch_size, grid, in_chans, embed_dim, nonlinear_embed)
        self.reference_encoding = ReferenceEncoding(embed_dim) \
            if reference_encoding else nn.Identity()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.blocks = build_blocks(arch, drop_path_rate)
        self.norm = vit_norm(embed_dim)
        self.head_drop = nn.Dropout(drop_rate)
        self.reset_classifier(num_classes, global_pool)
        trunc_normal_(self.cls_token, std=.02)
        self.apply(init_vit_weights)
        if torch_embed_init:
            self.patch_embed.start_as_torch()

    @property
    def input_patch(self) -> int:
        """Side of a patch in pixels of the images that the model takes."""
        return self.patch_embed.patch_size if self.mix_input else self.patch_embed.stride

    @torch.jit.ignore
    def no_weight_decay(self) -> set[str]:
        return {'cls_token', 'reference_encoding.reference'}

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict:
        """Parameters in order of depth, for timm's layer-wise decay."""
        return dict(stem=r'^cls_token|^patch_embed|^reference_encoding',
                    blocks=[(r'^blocks\.(\d+)', None), (r'^norm', (99999, ))])

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks in the backward pass to save memory."""
        self.grad_checkpointing = enable

    @torch.jit.ignore
    def get_classifier(self) -> nn.Module:
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new head, with another pooling if one is given."""
        if global_pool not in (None, '', 'token', 'avg'):
            raise ValueError(f"global_pool {global_pool!r} is unknown: choose 'token', 'avg' or ''")
        if global_pool is not None:
            self.global_pool = global_pool
        self.num_classes = num_classes
        self.head = nn.Linear(self.embed_dim, num_classes) if num_classes > 0 else nn.Identity()
        self.head.to(self.cls_token.device, self.cls_token.dtype).apply(init_vit_weights)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, 1 + N, D), the class token first."""
        if self.mix_input:
            x = mix_image_batch(x, self.patch_embed.patch_size, self.patch_embed.grid)
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        if self.shuffle_tokens:
            order = torch.rand(x.shape[:2], device=x.device).argsort(1)
            x = x.gather(1, order[..., None].expand_as(x))
        x = self.reference_encoding(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            if self.grad_checkpointing and self.training:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return self.norm(x)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """(B, 1 + N, D) -> (B, num_classes), or (B, D) before the head."""
        if self.global_pool:
            x = x[:, 1:].mean(1) if self.global_pool == 'avg' else x[:, 0]
        x = self.head_drop(x)
        return x if pre_logits else self.head(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, num_classes)."""
        return self.forward_head(self.forward_features(x))


# --- timm's registry ----------------------------------------------------------------------


def _cfg(side: int) -> dict:
    return dict(url='', num_classes=1000, input_size=(3, side, side), pool_size=None, crop_pct=.9,
                interpolation='bicubic', fixed_input_size=False, mean=IMAGENET_DEFAULT_MEAN,
                std=IMAGENET_DEFAULT_STD, first_conv='patch_embed.proj', classifier='head',
                license='apache-2.0')


default_cfgs = generate_default_cfgs({
    f'pevit_{arch}_patch16_224{suffix}': _cfg(side)
    for arch in VIT_ARCHS for suffix, side in (('', 224), ('_mix', 112))})


def _create(name: str, arch: str, pretrained: bool, kwargs: dict) -> PEViTClassifier:
    sizes = VIT_ARCHS[arch]
    kwargs = dict(embed_dim=sizes['embed_dims'], depth=sizes['num_layers'],
                  num_heads=sizes['num_heads'], grid=2 if name.endswith('_mix') else 1) | kwargs
    if kwargs.get('mix_input'):  # trainers ask the model how large its images are
        overlay = dict(kwargs.pop('pretrained_cfg_overlay', None) or {})
        kwargs['pretrained_cfg_overlay'] = dict(input_size=(3, 224, 224)) | overlay
    return build_model_with_cfg(PEViTClassifier, name, pretrained, **kwargs)


@register_model
def pevit_tiny_patch16_224(pretrained: bool = False, **kwargs) -> PEViTClassifier:
    """PEViT tiny for plain images, shuffled or not."""
    return _create('pevit_tiny_patch16_224', 'tiny', pretrained, kwargs)


@register_model
def pevit_small_patch16_224(pretrained: bool = False, **kwargs) -> PEViTClassifier:
    """PEViT small for plain images, shuffled or not."""
    return _create('pevit_small_patch16_224', 'small', pretrained, kwargs)


@register_model
def pevit_base_patch16_224(pretrained: bool = False, **kwargs) -> PEViTClassifier:
    """PEViT base for plain images, shuffled or not."""
    return _create('pevit_base_patch16_224', 'base', pretrained, kwargs)


@register_model
def pevit_tiny_patch16_224_mix(pretrained: bool = False, **kwargs) -> PEViTClassifier:
    """PEViT tiny for images that were mixed with grid 2: 112x112 from 224x224."""
    return _create('pevit_tiny_patch16_224_mix', 'tiny', pretrained, kwargs)


@register_model
def pevit_small_patch16_224_mix(pretrained: bool = False, **kwargs) -> PEViTClassifier:
    """PEViT small for images that were mixed with grid 2: 112x112 from 224x224."""
    return _create('pevit_small_patch16_224_mix', 'small', pretrained, kwargs)


@register_model
def pevit_base_patch16_224_mix(pretrained: bool = False, **kwargs) -> PEViTClassifier:
    """PEViT base for images that were mixed with grid 2: 112x112 from 224x224."""
    return _create('pevit_base_patch16_224_mix', 'base', pretrained, kwargs)
