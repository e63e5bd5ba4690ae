"""Small checkpoints in the layouts of others."""
from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

__all__ = ['detectron2_vitdet', 'mmdet_vitdet', 'timm_vit']


def timm_vit(**kwargs) -> dict[str, Tensor]:
    """A ViT of timm: 24 channels, 3 blocks, 64x64."""
    torch.manual_seed(0)
    vit = VisionTransformer(**{'img_size': 64, 'patch_size': 16, 'embed_dim': 24, 'depth': 3,
                               'num_heads': 3, 'num_classes': 5, **kwargs})
    return {name: torch.randn_like(value) for name, value in vit.state_dict().items()}


def _vitdet() -> dict[str, Tensor]:
    state = timm_vit()
    kept = {name: value for name, value in state.items()
            if name.startswith(('patch_embed', 'blocks', 'pos_embed'))}
    for i in range(3):
        kept[f'blocks.{i}.attn.rel_pos_h'] = torch.randn(7, 8)
        kept[f'blocks.{i}.attn.rel_pos_w'] = torch.randn(7, 8)
    return kept


def mmdet_vitdet() -> dict[str, Tensor]:
    """As MMDetection's projects/ViTDet names a Mask R-CNN."""
    return {**{f'backbone.{name}': value for name, value in _vitdet().items()},
            'neck.fpn1.0.weight': torch.zeros(2), 'rpn_head.rpn_cls.bias': torch.zeros(2),
            'roi_head.bbox_head.fc_cls.bias': torch.zeros(2)}


def detectron2_vitdet(wrapper: str = '') -> dict[str, Tensor]:
    """As detectron2 does, within ``wrapper``, 'model.' or ''."""
    state = {**{f'backbone.net.{name}': value for name, value in _vitdet().items()},
             'backbone.simfp_2.0.weight': torch.zeros(2), 'backbone.simfp_5.1.norm.bias':
             torch.zeros(2), 'proposal_generator.rpn_head.conv.bias': torch.zeros(2),
             'roi_heads.mask_head.predictor.bias': torch.zeros(2)}
    return {wrapper + name: value for name, value in state.items()}
