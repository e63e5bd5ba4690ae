"""Checkpoints straight into a backbone: ``init_cfg=dict(type='Pretrained', checkpoint=FILE)``."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmppvit.models.checkpoints.embedding import Embedding
from mmppvit.models.checkpoints.fitting import Fitting, reject_problems
from mmppvit.models.checkpoints.layouts import (
    VIT_NAMES,
    Source,
    guess_source,
    read_vit,
    strip_wrappers,
)
from mmppvit.models.checkpoints.load_report import LoadReport
from mmppvit.models.checkpoints.tensor_files import read_state_dict
from mmppvit.models.checkpoints.to_pevit import NEW_IN_PEVIT, fit_pevit
from mmppvit.models.checkpoints.vit_shapes import absent_bias, is_plain

__all__ = ['adapt_state_dict', 'load_pretrained']

# Parts of a YOLOSViT that the checkpoint which it grew from did not have.
_NEW_IN_YOLOS = dict.fromkeys(('cls_token', 'det_token', 'mid_pos_embed', 'patch_embed.mixer.'),
                              'not in the checkpoint')
_NEW_TO_PEVITS = {'pos_embed': 'not in the checkpoint, as those of PEViT have none'}


def load_pretrained(model: nn.Module, checkpoint: str, allow_partial: bool = False,
                    prefix: str | None = None, kernel: str = 'pinv') -> LoadReport:
    """Load ``checkpoint`` into a backbone and print what became of every tensor.

    Args:
        model (nn.Module): A PEViT or a YOLOSViT.
        checkpoint (str): Path of a ``.pth`` or ``.safetensors``.
        allow_partial (bool): Take a checkpoint with missing or unexpected tensors.
        prefix (str, optional): Take the tensors below this name alone, e.g. 'teacher.backbone.'.
        kernel (str): How a kernel of another patch size is resampled, 'pinv', 'bicubic' or
            'direct': see :func:`~mmppvit.models.checkpoints.kernel_resampling.resample_kernel`.

    Raises:
        ValueError: No tensor has the prefix, or something is missing or unexpected, e.g. a
            checkpoint of another arch.
    """
    state = _below(read_state_dict(checkpoint), prefix, checkpoint)
    adapted, report = adapt_state_dict(state, model, kernel)
    kind = type(model).__name__
    print_log(f'{kind} from {checkpoint}:\n{report}', logger='current')
    if not allow_partial:
        reject_problems(
            report, f'{checkpoint} does not fit this {kind} ({model.embed_dims} channels, '
            f'{len(model.blocks)} blocks)', 'Choose the arch it was made for, or set '
            'init_cfg.allow_partial=True')
    model.load_state_dict(adapted, strict=False)
    return report


def _below(state: Mapping[str, Tensor], prefix: str | None, checkpoint: str
           ) -> Mapping[str, Tensor]:
    """Tensors whose names begin with ``prefix``, without it."""
    if not prefix:
        return state
    prefix = prefix.removesuffix('.') + '.'
    found = {name.removeprefix(prefix): value for name, value in state.items()
             if name.startswith(prefix)}
    if not found:
        raise ValueError(f'{checkpoint} has no tensor below {prefix!r}, which init_cfg.prefix '
                         f'names; it has {sorted({name.split(".")[0] for name in state})}')
    return found


def adapt_state_dict(state: Mapping[str, Tensor], model: nn.Module, kernel: str = 'pinv'
                     ) -> tuple[dict[str, Tensor], LoadReport]:
    """Fit the tensors of a checkpoint to a backbone.

    Args:
        state (Mapping[str, Tensor]): For a PEViT: timm's or DeiT's ViT, or a PEViT, also within
            a detector or a training wrapper. For a YOLOSViT: what tools/convert_checkpoint.py
            writes, or a detector with one.
        model (nn.Module): A PEViT or a YOLOSViT.
        kernel (str): As for :func:`load_pretrained`.

    Returns:
        tuple[dict, LoadReport]: The tensors that fit, under the model's names, and the account.

    Raises:
        ValueError: For a PEViT, the checkpoint has to be converted first.
    """
    source = strip_wrappers(state)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    if 'det_token' in shapes:
        return _fit_same_names(source, shapes)
    found = guess_source(source.tensors)
    if found not in ('timm', None, *VIT_NAMES):
        raise ValueError(f'this looks like a {found} checkpoint: make it one of a PEViT with '
                         'tools/convert_checkpoint.py SRC DST --target pevit --source '
                         f'{found}' if found != 'mmppvit' else
                         'this is a PEYOLOS of mmppvit, whose blocks reckon with positions')
    read_vit(source, found)
    embed = model.patch_embed
    embedding = Embedding(embed.patch_size, embed.grid, resampling=kernel)
    fitting = fit_pevit(source, shapes, embedding, is_plain(source, found or 'timm'),
                        lambda name: _not_built(name, shapes, model))
    return fitting.finish(NEW_IN_PEVIT | (absent_bias(source) if found == 'clip' else {}))


def _fit_same_names(source: Source, shapes: Mapping[str, torch.Size]
                    ) -> tuple[dict[str, Tensor], LoadReport]:
    source.keep('backbone.', 'not of the backbone')
    fitting = Fitting(source, shapes)
    for name in source.tensors:
        fitting.place(name)
    # Without its positions a trained detector is a damaged one, and a PEViT is whole.
    grown = 'det_token' in source.tensors
    return fitting.finish(_NEW_IN_YOLOS if grown else {**_NEW_IN_YOLOS, **_NEW_TO_PEVITS})


def _not_built(name: str, shapes: Mapping[str, torch.Size], model: nn.Module) -> str | None:
    root, _, rest = name.partition('.')
    if root == 'norm' and 'norm.weight' not in shapes:
        return 'the model has no final norm'
    if root == 'blocks' and len(model.blocks) <= int(rest.split('.')[0]) < model.num_layers:
        return 'after the last block of out_indices'
    return None
