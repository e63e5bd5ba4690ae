"""Names of other projects for the tensors of a ViT, made timm's."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mmppvit.models.checkpoints.layouts import Source

__all__ = ['guess_foreign', 'read_clip', 'read_hugging_face', 'read_released_pevit',
           'released_pevit_names']

_RELEASED = (('ref_encoding.0.', 'reference_encoding.fc1.'),
             ('ref_encoding.2.', 'reference_encoding.fc2.'))
_HUGGING_FACE = (
    (r'^(?:vit|deit)\.', ''),
    (r'^embeddings\.cls_token', 'cls_token'),
    (r'^embeddings\.distillation_token', 'dist_token'),
    (r'^embeddings\.mask_token', 'mask_token'),
    (r'^embeddings\.detection_tokens', 'det_token'),
    (r'^embeddings\.position_embeddings', 'pos_embed'),
    (r'^embeddings\.patch_embeddings\.projection\.', 'patch_embed.proj.'),
    (r'^encoder\.(?:interpolation\.)?mid_position_embeddings', 'mid_pos_embed'),
    (r'^(?:encoder\.layer|layers)\.', 'blocks.'),  # in files, and in transformers 5
    (r'^(blocks\.\d+\.)attention\.(?:output\.dense|o_proj)\.', r'\1attn.proj.'),
    (r'^(blocks\.\d+\.)attention\.attention\.(query|key|value)\.', r'\1attn.\2.'),
    (r'^(blocks\.\d+\.)attention\.q_proj\.', r'\1attn.query.'),
    (r'^(blocks\.\d+\.)attention\.k_proj\.', r'\1attn.key.'),
    (r'^(blocks\.\d+\.)attention\.v_proj\.', r'\1attn.value.'),
    (r'^(blocks\.\d+\.)intermediate\.dense\.', r'\1mlp.fc1.'),
    (r'^(blocks\.\d+\.)output\.dense\.', r'\1mlp.fc2.'),
    (r'^(blocks\.\d+\.)layernorm_before\.', r'\1norm1.'),
    (r'^(blocks\.\d+\.)layernorm_after\.', r'\1norm2.'),
    (r'^layernorm\.', 'norm.'),
    (r'^class_labels_classifier\.', 'class_embed.'),
    (r'^bbox_predictor\.', 'bbox_embed.'),
    (r'^distillation_classifier\.', 'head_dist.'),
    (r'^(?:cls_)?classifier\.', 'head.'),
)
_CLIP = (
    (r'^class_embedding$', 'cls_token'),
    (r'^positional_embedding$', 'pos_embed'),
    (r'^conv1\.', 'patch_embed.proj.'),
    (r'^transformer\.resblocks\.', 'blocks.'),
    (r'^(blocks\.\d+\.)ln_1\.', r'\1norm1.'),
    (r'^(blocks\.\d+\.)ln_2\.', r'\1norm2.'),
    (r'^(blocks\.\d+\.)attn\.in_proj_', r'\1attn.qkv.'),
    (r'^(blocks\.\d+\.)attn\.out_proj\.', r'\1attn.proj.'),
    (r'^(blocks\.\d+\.)mlp\.c_fc\.', r'\1mlp.fc1.'),
    (r'^(blocks\.\d+\.)mlp\.c_proj\.', r'\1mlp.fc2.'),
    (r'^ln_post\.', 'norm.'),
)
_NO_PLACE_OF_CLIP = {
    'ln_pre.': 'norm before the first block: there is none here, so the blocks need training',
    'proj': 'projection to the space that CLIP shares with texts',
}


def guess_foreign(names: Iterable[str]) -> str | None:
    """'pevit', 'clip', 'hf-vit' or 'hf-yolos', by what only that one has."""
    names = list(names)
    if any(name.startswith('ref_encoding.0.') for name in names):
        return 'pevit'
    if any(name.startswith(('visual.transformer.resblocks.', 'transformer.resblocks.'))
           for name in names):
        return 'clip'
    if any('embeddings.patch_embeddings.projection.' in name for name in names):
        return 'hf-yolos' if any('detection_tokens' in name for name in names) else 'hf-vit'
    return None


def released_pevit_names(name: str) -> str:
    """The name here of a tensor of the released PEViT."""
    for old, new in _RELEASED:
        name = name.replace(old, new)
    return 'reference_encoding.reference' if name == 'reference' else name


def read_released_pevit(source: Source) -> Source:
    """The classifier that Hao et al. released: ``reference`` (1, 1, D), ``ref_encoding``."""
    _rename(source, released_pevit_names)
    name = 'reference_encoding.reference'
    source.tensors[name] = source.tensors[name].flatten()
    return source


def read_hugging_face(source: Source) -> Source:
    """transformers' ViT, DeiT and YOLOS; queries, keys and values become one matrix again."""
    _rename(source, lambda name: _substitute(name, _HUGGING_FACE))
    for name in [name for name in source.tensors if '.attn.query.' in name]:
        parts = [name.replace('query', part) for part in ('query', 'key', 'value')]
        if all(part in source.tensors for part in parts):
            _join(source, parts, name.replace('attn.query', 'attn.qkv'))
    return source.drop({name: 'pooling head' for name in list(source.tensors)
                        if name.startswith('pooler.')})


def read_clip(source: Source) -> Source:
    """The image tower of CLIP, OpenAI's or open_clip's."""
    source.keep('visual.', 'not of the image tower')
    source.drop({name: why for name in list(source.tensors)
                 for start, why in _NO_PLACE_OF_CLIP.items()
                 if name == start or (start.endswith('.') and name.startswith(start))})
    _rename(source, lambda name: _substitute(name, _CLIP))
    for name in ('cls_token', 'pos_embed'):
        if name in source.tensors:
            value = source.tensors[name]
            source.tensors[name] = value.reshape(1, -1, value.shape[-1])
    return source


def _substitute(name: str, table: tuple[tuple[str, str], ...]) -> str:
    for old, new in table:
        name = re.sub(old, new, name)
    return name


def _rename(source: Source, new_name: Callable[[str], str]) -> None:
    for name in list(source.tensors):
        new = new_name(name)
        if new != name:
            source.tensors[new] = source.tensors.pop(name)
            source.names[new] = source.names.pop(name)


def _join(source: Source, parts: list[str], name: str) -> None:
    """One tensor, which is accounted for under the name of its first part."""
    values: list[Tensor] = [source.tensors.pop(part) for part in parts]
    first, *others = [source.names.pop(part) for part in parts]
    source.tensors[name], source.names[name] = torch.cat(values), first
    source.dropped |= dict.fromkeys(others, 'joined with the queries')
