"""Files of tensors, read and written without pickle."""
from __future__ import annotations

import argparse
import io
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from mmengine.fileio import get_local_path
from safetensors.torch import load_file, save
from torch import Tensor

from mmppvit.models.checkpoints.weight_sets import choose_weights, unwrap_names
from mmppvit.utils.atomic import write_atomic

__all__ = ['read_state_dict', 'write_state_dict']


def read_state_dict(path: str | Path, weights: str | None = None) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file or a weights-only ``.pth``; no code of it ever runs.

    Wrappers such as ``state_dict`` and ``model`` are opened, and names lose the ``module.`` and
    ``_orig_mod.`` that training puts before them.

    Args:
        path (str | Path): The file.
        weights (str, optional): Of several sets of weights the one to take, e.g. 'model_ema';
            default: the averaged one, and a warning says so.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no tensors or no such set, needs pickle, or has weights that are no
            usable numbers.
    """
    try:
        with get_local_path(path) as local:
            if str(path).endswith('.safetensors'):
                state = load_file(local)
            else:
                with _options_allowed():
                    state = torch.load(local, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f'no checkpoint {path}: check init_cfg.checkpoint') from None
    except Exception as err:
        raise ValueError(
            f'{path} cannot be read as weights only ({type(err).__name__}); save its bare '
            'state dict, torch.save(model.state_dict(), FILE), or convert it to .safetensors; '
            "for a checkpoint of MMEngine's, tools/rewrite_checkpoint.py") from err
    if not isinstance(state, Mapping):
        raise ValueError(f'{path} holds a {type(state).__name__}, not a state dict')
    tensors = choose_weights(state, str(path), weights)
    _check_numbers(tensors, path)
    names = unwrap_names(tensors)
    return {names[name]: value for name, value in tensors.items()}


def _check_numbers(tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """A model that was built of these would load without a word, and find nothing."""
    for name, value in tensors.items():
        if value.is_meta:
            problem = 'has no values (meta)'
        elif value.layout is not torch.strided:
            problem = f'is {str(value.layout).removeprefix("torch.")}: save .to_dense()'
        elif value.is_complex():
            problem = 'is complex'
        elif value.is_quantized or (value.ndim > 1 and value.element_size() == 1
                                    and value.dtype is not torch.bool):
            problem = f'is quantized ({value.dtype}): save floating weights'
        elif value.is_floating_point() and not _usable(name, value):
            problem = 'has values that are not finite: the training that wrote it had diverged'
        else:
            continue
        raise ValueError(f'{path} is of no use: its tensor {name} {problem}')


def _usable(name: str, value: Tensor) -> bool:
    """Masks may be infinite where weights may not."""
    test = torch.isfinite if name.endswith(('weight', 'bias')) else lambda x: ~torch.isnan(x)
    return bool(test(value).all())


def _options_allowed() -> AbstractContextManager:
    """DETR's descendants save their ``args`` along: attributes, and nothing that runs."""
    return torch.serialization.safe_globals([argparse.Namespace])


def write_state_dict(path: str | Path, state: Mapping[str, Tensor]) -> None:
    """Write ``.safetensors``, or a weights-only ``.pth`` as MMEngine's ``load_from`` takes it.

    The file appears whole or not at all, and replaces one that is there.

    Raises:
        ValueError: The name ends in something else.
    """
    # Views would bring the memory along that they are a part of.
    state = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    if str(path).endswith('.safetensors'):
        content = save(state, {'format': 'pt'})
    elif str(path).endswith('.pth'):
        buffer = io.BytesIO()
        torch.save(dict(meta={}, state_dict=state), buffer)
        content = buffer.getvalue()
    else:
        raise ValueError(f'{path} has to end in .safetensors or .pth')
    write_atomic(path, content, sync=True)
