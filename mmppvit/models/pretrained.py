"""Weights of plain vision transformers in position-free ones.

The one route: ``init_cfg=dict(type='Pretrained', checkpoint=FILE)`` of a backbone. Every tensor
is accounted for in a printed table, and a load that leaves something unexplained is an error.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.fileio import get_local_path
from mmengine.logging import print_log
from timm.layers import resample_patch_embed
from torch import Tensor, nn

__all__ = ['LoadReport', 'adapt_state_dict', 'load_pretrained', 'mix_kernel', 'read_state_dict']

# Tensors of a plain ViT that a position-free detection backbone has no place for.
_POSITIONAL = ('pos_embed', 'cls_token', 'dist_token', 'reg_token', 'mask_token')
_HEADS = ('head', 'head_dist', 'fc_norm', 'pre_logits')
# Parts that a plain ViT cannot have, and which start from their initialisation.
_NEW_PARTS = ('reference_encoding.', 'patch_embed.mixer.')
_KERNEL = 'patch_embed.proj.weight'


@dataclass
class LoadReport:
    """What became of every tensor, by name."""
    copied: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    initialised: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        rows = [f'  copied      {len(self.copied)} tensors']
        rows += [f'  adapted     {name}: {how}' for name, how in self.adapted.items()]
        rows += [f'  dropped     {name}: {why}' for name, why in self.dropped.items()]
        rows += [f'  left at init {name}' for name in self.initialised]
        rows += [f'  missing     {name}' for name in self.missing]
        rows += [f'  unexpected  {name}' for name in self.unexpected]
        return '\n'.join(rows)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file or a weights-only ``.pth``; nothing is ever unpickled.

    Wrappers that are common (``state_dict``, ``model``, ``model_ema``) are opened.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no tensors, or needs pickle.
    """
    try:
        with get_local_path(path) as local:
            if str(path).endswith('.safetensors'):
                from safetensors.torch import load_file
                state = load_file(local)
            else:
                state = torch.load(local, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f'no checkpoint {path}: check init_cfg.checkpoint') from None
    except Exception as err:
        raise ValueError(
            f'{path} cannot be read as weights only ({type(err).__name__}); save its bare '
            'state dict, torch.save(model.state_dict(), FILE), or convert it to .safetensors'
        ) from err
    for key in ('state_dict', 'model', 'model_ema'):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping):
        raise ValueError(f'{path} holds a {type(state).__name__}, not a state dict')
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f'{path} holds no tensors')
    return tensors


def mix_kernel(kernel: Tensor, grid: int) -> Tensor:
    """Kernel for mixed images from one for plain images: the sum of its sub-kernels.

    ``sum_ab <K_ab, x_ab>`` with every sub-patch ``x_ab`` at its mean ``m`` is
    ``<sum_ab K_ab, m>``, the best that can be said of it from the mixed image.

    Args:
        kernel (Tensor): (D, C, P, P).
        grid (int): Sub-patches per side.

    Returns:
        Tensor: (D, C, P / grid, P / grid).
    """
    dims, channels, height, width = kernel.shape
    return kernel.reshape(dims, channels, grid, height // grid, grid, width // grid).sum((2, 4))


def adapt_state_dict(state: Mapping[str, Tensor], model: nn.Module) -> tuple[dict, LoadReport]:
    """Fit the tensors of a plain ViT, or of a PEViT, to ``model``.

    Args:
        state (Mapping[str, Tensor]): timm's, DeiT's or a PEViT's names, the latter also under
            ``backbone.`` as in a detector.
        model (nn.Module): A PEViT.

    Returns:
        tuple[dict, LoadReport]: The tensors that fit, under the model's names, and the account.
    """
    report = LoadReport()
    if any(name.startswith('backbone.') for name in state):
        others = sum(not name.startswith('backbone.') for name in state)
        if others:
            report.dropped[f'{others} tensors'] = 'not of the backbone'
        state = {k.removeprefix('backbone.'): v for k, v in state.items()
                 if k.startswith('backbone.')}
    target = model.state_dict()
    plain = any(name in _POSITIONAL for name in state)
    adapted: dict[str, Tensor] = {}
    for name, value in state.items():
        why = _reason_to_drop(name, target, model)
        if why:
            report.dropped[name] = why
        elif name not in target:
            report.unexpected.append(f'{name} {tuple(value.shape)}')
        elif name == _KERNEL and _must_adapt(value, target[name], model.patch_embed, plain):
            adapted[name], report.adapted[name] = _adapt_kernel(value, model.patch_embed)
        elif value.shape == target[name].shape:
            adapted[name] = value
            report.copied.append(name)
        else:
            report.unexpected.append(
                f'{name} {tuple(value.shape)}, the model has {tuple(target[name].shape)}')
    for name in target.keys() - adapted.keys():
        (report.initialised if name.startswith(_NEW_PARTS) else report.missing).append(name)
    report.initialised.sort()
    report.missing.sort()
    return adapted, report


def _reason_to_drop(name: str, target: Mapping[str, Tensor], model: nn.Module) -> str | None:
    root, _, rest = name.partition('.')
    if name in target:
        return None
    if root in _POSITIONAL:
        return 'a detection backbone without positions has none'
    if root in _HEADS:
        return 'classification head'
    if root == 'norm' and 'norm.weight' not in target:
        return 'the model has no final norm'
    if root == 'blocks' and len(model.blocks) <= int(rest.split('.')[0]) < model.num_layers:
        return 'after the last block of out_indices'
    return None


def _must_adapt(kernel: Tensor, target: Tensor, embed: nn.Module, plain: bool) -> bool:
    """Whether ``kernel`` is for plain images and ``target`` is not, or of another patch size.

    A kernel of 8x8 may be for plain patches of 8 or for mixed ones of 16: a plain ViT is known
    by its positions. Without those only a kernel of the whole patch is surely a plain one.
    """
    side = (embed.patch_size, embed.patch_size)
    if kernel.shape[:2] != target.shape[:2]:
        return False
    if plain:
        return embed.grid > 1 or tuple(kernel.shape[2:]) != side
    return embed.grid > 1 and tuple(kernel.shape[2:]) == side


def _adapt_kernel(kernel: Tensor, embed: nn.Module) -> tuple[Tensor, str]:
    steps = [f'{tuple(kernel.shape[2:])}']
    size = embed.patch_size
    if tuple(kernel.shape[2:]) != (size, size):
        kernel = resample_patch_embed(kernel, [size, size])
        steps.append(f'resampled to ({size}, {size})')
    if embed.grid > 1:
        kernel = mix_kernel(kernel, embed.grid)
        steps.append(f'summed over {embed.grid}x{embed.grid} sub-kernels')
    return kernel, ', '.join(steps)


def load_pretrained(model: nn.Module, checkpoint: str, allow_partial: bool = False) -> LoadReport:
    """Load ``checkpoint`` into a PEViT and print what became of every tensor.

    Args:
        model (nn.Module): A PEViT.
        checkpoint (str): Path of a ``.pth`` or ``.safetensors``.
        allow_partial (bool): Take a checkpoint with missing or unexpected tensors.

    Raises:
        ValueError: Something is missing or unexpected, e.g. a checkpoint of another arch.
    """
    adapted, report = adapt_state_dict(read_state_dict(checkpoint), model)
    print_log(f'{type(model).__name__} from {checkpoint}:\n{report}', logger='current')
    if (report.missing or report.unexpected) and not allow_partial:
        raise ValueError(
            f'{checkpoint} does not fit this {type(model).__name__} ({model.embed_dims} channels, '
            f'{len(model.blocks)} blocks): {len(report.missing)} tensors missing, '
            f'{len(report.unexpected)} unexpected, e.g. '
            f'{(report.missing + report.unexpected)[:2]}. Choose the arch it was made for, or set '
            'init_cfg.allow_partial=True')
    model.load_state_dict(adapted, strict=False)
    return report
