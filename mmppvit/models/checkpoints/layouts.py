"""Whose checkpoint it is, and timm's names for its tensors."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from mmppvit.models.checkpoints.foreign_names import (
    guess_foreign,
    read_clip,
    read_hugging_face,
    read_released_pevit,
)
from mmppvit.models.checkpoints.layer_scale import fold_layer_scale
from mmppvit.models.checkpoints.weight_sets import unwrap_names

__all__ = ['SOURCES', 'VIT_NAMES', 'Source', 'check_source', 'guess_source', 'layout_of',
           'read_vit', 'strip_wrappers']

SOURCES = ('timm', 'deit', 'yolos', 'peyolos', 'vitdet', 'pevit', 'clip', 'hf-vit', 'hf-yolos')
# Other names for a ViT, which a backbone takes as they are.
VIT_NAMES = ('pevit', 'clip', 'hf-vit')
_SAME_AS = {**dict.fromkeys(VIT_NAMES, 'timm'), 'hf-yolos': 'yolos'}
_WRAPPERS = {  # prefix: what the tensors without it are
    'module.': 'not of the model, which is wrapped',
    'model.': 'not of the model, which is wrapped',
}
_OURS = 'mmppvit'
_ELSEWHERE = 'not of the backbone'


@dataclass
class Source:
    """Tensors of a checkpoint.

    Args:
        tensors: By the name that they have here.
        names: Their names in the checkpoint, by the name that they have here.
        dropped: Names in the checkpoint of those that are left out, and why.
    """
    tensors: dict[str, Tensor]
    names: dict[str, str]
    dropped: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, state: Mapping[str, Tensor], layout: str) -> Source:
        """Tensors of a checkpoint under timm's names, and the heads of YOLOS under YOLOS'.

        Args:
            state (Mapping[str, Tensor]): The checkpoint; other parts of a detector or a training
                wrapper may be around the model.
            layout (str): One of ``SOURCES``.

        Raises:
            ValueError: It is of another layout.
        """
        source = strip_wrappers(state)
        check_source(source.tensors, layout)
        return _READERS[layout](source)

    def keep(self, prefix: str, why: str) -> Source:
        """Those of ``prefix``, without it, if any have it; the others are dropped."""
        if not any(name.startswith(prefix) for name in self.tensors):
            return self
        self.drop({name: why for name in self.tensors if not name.startswith(prefix)})
        return self.rename(prefix, '')

    def rename(self, old: str, new: str) -> Source:
        """``old`` at the beginning of names becomes ``new``."""
        for table in (self.tensors, self.names):
            for name in [name for name in table if name.startswith(old)]:
                table[new + name.removeprefix(old)] = table.pop(name)
        return self

    def drop(self, why: Mapping[str, str]) -> Source:
        """Leave tensors out, for a reason each."""
        for name, reason in why.items():
            del self.tensors[name]
            self.dropped[self.names.pop(name)] = reason
        return self


def strip_wrappers(state: Mapping[str, Tensor]) -> Source:
    """``state`` without ``module.`` and ``model.``, which training loops put before names."""
    short = unwrap_names(state)
    source = Source({short[name]: value for name, value in state.items()},
                    {short[name]: name for name in state})
    for prefix, why in _WRAPPERS.items():
        source.keep(prefix, why)
    return source


def guess_source(names: Iterable[str]) -> str | None:
    """The layout of names that ``strip_wrappers`` has seen, by what only that one has.

    DeiT's layout is timm's. A PEYOLOS of this package is 'mmppvit'; None is unknown.
    """
    names = list(names)
    roots = {name.partition('.')[0] for name in names}

    def has(*parts: str) -> bool:
        return any(part in name for part in parts for name in names)

    if has('patch_embed.proj_siat'):
        return 'peyolos'
    if (foreign := guess_foreign(names)) is not None:
        return foreign
    if has('det_token'):
        return _OURS if 'bbox_head' in roots else 'yolos'
    if has('.rel_pos_h', 'backbone.net.', 'simfp_'):
        return 'vitdet'
    if has('backbone.pos_embed') and not has('backbone.cls_token'):
        return 'vitdet'
    if has('blocks.0.attn.qkv.weight'):
        return 'timm'
    return None


def check_source(names: Iterable[str], layout: str) -> None:
    """Raise ValueError unless the names are of ``layout``; it says of which they are."""
    names = list(names)
    found = guess_source(names)
    if {found, layout} <= {'timm', 'deit'} or found == layout:
        return
    if found == _OURS:
        raise ValueError('this is a PEYOLOS of mmppvit, which needs no conversion: load_from')
    if found is None:
        raise ValueError(f'this looks like none of {", ".join(SOURCES)}: its names are '
                         f'{", ".join(sorted(names)[:3])}, ...')
    raise ValueError(f'this looks like a {found} checkpoint, use --source {found}')


def layout_of(layout: str) -> str:
    """The layout whose names a checkpoint has once it was read."""
    return _SAME_AS.get(layout, layout)


def read_vit(source: Source, found: str | None) -> Source:
    """A ViT that goes into a backbone without conversion, ``found`` to be of some layout."""
    return _READERS[found if found in VIT_NAMES else 'timm'](source)


def _read_timm(source: Source) -> Source:
    """Also DINOv2's own names, which differ in one, and MAE's, which has a decoder."""
    source.keep('backbone.', _ELSEWHERE)
    source.rename('register_tokens', 'reg_token')
    source.drop({name: "MAE's decoder" for name in list(source.tensors)
                 if name.startswith('decoder_')})
    return fold_layer_scale(source)


def _read_yolos(source: Source) -> Source:
    return source.rename('backbone.', '')


def _read_peyolos(source: Source) -> Source:
    source.rename('backbone.', '')
    # Not in the release; a kernel of plain images beside it would not be run.
    source.drop({name: 'not run beside proj_siat'
                 for name in list(source.tensors) if name.startswith('patch_embed.proj.')})
    source.rename('patch_embed.proj_siat_embed.', 'patch_embed.mixer.1.')
    return source.rename('patch_embed.proj_siat.', 'patch_embed.proj.')


def _read_vitdet(source: Source) -> Source:
    """Detectron2's has the ViT at ``backbone.net.``, MMDetection's at ``backbone.``."""
    for prefix in ('backbone.', 'net.'):
        source.keep(prefix, _ELSEWHERE)
    return source.drop({name: 'relative positions: attention here has none'
                        for name in list(source.tensors) if '.rel_pos_' in name})


_READERS = dict(timm=_read_timm, deit=_read_timm, yolos=_read_yolos, peyolos=_read_peyolos,
                vitdet=_read_vitdet, pevit=read_released_pevit, clip=read_clip)
_READERS |= dict.fromkeys(('hf-vit', 'hf-yolos'), read_hugging_face)
