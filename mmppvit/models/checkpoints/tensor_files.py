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

from mmppvit.utils.atomic import write_atomic

__all__ = ['read_state_dict', 'write_state_dict']

# In the order of preference: MMEngine's state_dict is the averaged one where there are both.
_WRAPPERS = ('state_dict', 'model', 'model_ema', 'ema_state_dict')


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file or a weights-only ``.pth``; no code of it ever runs.

    Wrappers that are common (``state_dict``, ``model``, ``model_ema``, ``ema_state_dict``) are
    opened.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no tensors, or needs pickle.
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
    return _tensors(state, path)


def _options_allowed() -> AbstractContextManager:
    """DETR's descendants save their ``args`` along: attributes, and nothing that runs."""
    return torch.serialization.safe_globals([argparse.Namespace])


def _tensors(state: object, path: str | Path) -> dict[str, Tensor]:
    for key in _WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping):
        raise ValueError(f'{path} holds a {type(state).__name__}, not a state dict')
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f'{path} holds no tensors')
    return tensors


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
