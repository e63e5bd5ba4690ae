"""Small checkpoints in the layouts of others."""
from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

__all__ = ['detectron2_vitdet', 'hugging_face_vit', 'hugging_face_yolos', 'mmdet_vitdet',
           'openai_clip', 'released_pevit', 'timm_vit']


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


def released_pevit() -> dict[str, Tensor]:
    """The classifier as Hao et al. released it: no positions, a reference (1, 1, D)."""
    state = timm_vit()
    del state['pos_embed']
    state['reference'] = torch.randn(1, 1, 24)
    for i in (0, 2):
        state[f'ref_encoding.{i}.weight'] = torch.randn(24, 24)
        state[f'ref_encoding.{i}.bias'] = torch.randn(24)
    return state


_HUGGING_FACE_BLOCK = {
    'norm1': 'layernorm_before', 'norm2': 'layernorm_after', 'attn.proj': 'attention.output.dense',
    'mlp.fc1': 'intermediate.dense', 'mlp.fc2': 'output.dense'}


def _hugging_face(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's names as transformers' ViTModel, ViTForImageClassification and Yolos have them."""
    found = {}
    for name, value in state.items():
        kind = name.rpartition('.')[2]
        if name.startswith('blocks.'):
            _, number, part = name.rpartition('.')[0].split('.', 2)
            block = f'vit.encoder.layer.{number}.'
            if part == 'attn.qkv':
                for one, rows in zip(('query', 'key', 'value'), value.chunk(3), strict=True):
                    found[f'{block}attention.attention.{one}.{kind}'] = rows
            else:
                found[f'{block}{_HUGGING_FACE_BLOCK[part]}.{kind}'] = value
        elif name.startswith('norm.'):
            found[f'vit.layernorm.{kind}'] = value
        elif name.startswith('patch_embed.'):
            found[f'vit.embeddings.patch_embeddings.projection.{kind}'] = value
        elif name == 'mid_pos_embed':
            found['vit.encoder.mid_position_embeddings'] = value
        elif name.startswith('head.'):
            found[f'classifier.{kind}'] = value
        elif name.startswith('class_embed.'):
            found[name.replace('class_embed', 'class_labels_classifier')] = value
        elif name.startswith('bbox_embed.'):
            found[name.replace('bbox_embed', 'bbox_predictor')] = value
        else:
            names = dict(cls_token='cls_token', pos_embed='position_embeddings',
                         det_token='detection_tokens', mask_token='mask_token')
            found[f'vit.embeddings.{names[name]}'] = value
    return found


def hugging_face_vit() -> dict[str, Tensor]:
    """ViTModel with its pooling head, beside a classifier."""
    return {**_hugging_face({**timm_vit(), 'mask_token': torch.zeros(1, 1, 24)}),
            'vit.pooler.dense.weight': torch.randn(24, 24),
            'vit.pooler.dense.bias': torch.randn(24)}


def hugging_face_yolos(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """YolosForObjectDetection, from hustvl's names."""
    return _hugging_face({name.removeprefix('backbone.'): value for name, value in state.items()})


def openai_clip() -> dict[str, Tensor]:
    """Both towers of CLIP, the image's from :func:`timm_vit` with norms before and after."""
    state, found = timm_vit(), {}
    block = {'norm1': 'ln_1', 'norm2': 'ln_2', 'attn.proj': 'attn.out_proj', 'mlp.fc1': 'mlp.c_fc',
             'mlp.fc2': 'mlp.c_proj'}
    for name, value in state.items():
        if name.startswith('blocks.'):
            stem, _, kind = name.rpartition('.')
            _, number, part = stem.split('.', 2)
            new = f'attn.in_proj_{kind}' if part == 'attn.qkv' else f'{block[part]}.{kind}'
            found[f'visual.transformer.resblocks.{number}.{new}'] = value
    found |= {
        'visual.class_embedding': state['cls_token'].flatten(),
        'visual.positional_embedding': state['pos_embed'][0],
        'visual.conv1.weight': state['patch_embed.proj.weight'],
        'visual.ln_pre.weight': torch.ones(24), 'visual.ln_pre.bias': torch.zeros(24),
        'visual.ln_post.weight': state['norm.weight'], 'visual.ln_post.bias': state['norm.bias'],
        'visual.proj': torch.randn(24, 8), 'logit_scale': torch.ones(()),
        'positional_embedding': torch.randn(7, 8), 'token_embedding.weight': torch.randn(9, 8),
        'transformer.resblocks.0.ln_1.weight': torch.randn(8), 'text_projection': torch.randn(8, 8),
    }
    return found
