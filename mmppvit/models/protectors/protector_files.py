"""Protectors as files: weights, settings and the model they were trained for; no pickle."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mmppvit.models.checkpoints import read_state_dict
from mmppvit.models.checkpoints.tensor_json import read_tensors, write_tensors
from mmppvit.models.protectors.unet import ProtectionUNet

__all__ = ['Protector', 'fingerprint', 'load_protector', 'pack_info', 'save_protector',
           'unpack_info']

_FORMAT, _VERSION = 'mmppvit-protector', 1  # the one key of a file's metadata


class Protector(NamedTuple):
    """What a protector's file holds.

    Attributes:
        network (ProtectionUNet): In eval mode, on the CPU.
        made_for (str | None): :func:`fingerprint` of the frozen model it was trained for.
    """
    network: ProtectionUNet
    made_for: str | None


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """32 hex digits that tell the weights of a model: names, types, shapes and values.

    Args:
        state (Mapping[str, Tensor]): ``model.state_dict()``.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}\n'.encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def save_protector(path: str | Path, network: ProtectionUNet, made_for: str | None = None) -> None:
    """Write a protector as one ``.safetensors`` file, which appears whole or not at all.

    Settings and ``made_for`` are JSON in its metadata, under the key ``mmppvit-protector``. The
    same protector makes the same bytes.

    Args:
        path (str | Path): Ends in ``.safetensors``; a file that is there is replaced.
        network (ProtectionUNet): The protector.
        made_for (str, optional): :func:`fingerprint` of the frozen model.

    Raises:
        ValueError: The path ends in something else.
    """
    if not str(path).endswith('.safetensors'):
        raise ValueError(f'{path}: protectors are saved as .safetensors')
    write_tensors(path, network.state_dict(), _info(network, made_for), _FORMAT)


def load_protector(path: str | Path) -> Protector:
    """Read a protector; no code of the file ever runs.

    Args:
        path (str | Path): What :func:`save_protector` wrote, or a checkpoint (``.pth``) of the
            training of a ``ProtectedDetector``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is of another kind, of a newer format, or damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no protector {path}: give the protector.safetensors, or a '
                                'checkpoint, of a training in configs/protectors/')
    read = _read_file if str(path).endswith('.safetensors') else _read_checkpoint
    weights, info = read(path)
    network = ProtectionUNet(**info['settings'])
    try:
        network.load_state_dict(weights)
    except RuntimeError as err:
        raise ValueError(f'{path} is damaged: its weights do not fit its settings '
                         f'{info["settings"]}') from err
    return Protector(network.eval(), info['made_for'])


def pack_info(network: ProtectionUNet, made_for: str | None) -> Tensor:
    """Settings and fingerprint as a tensor, for the ``_extra_state`` of a wrapper's checkpoints.

    A wrapper with the sub-module ``protector`` and a ``get_extra_state`` that returns this writes
    checkpoints that :func:`load_protector` reads.

    Returns:
        Tensor: uint8, the characters of a JSON text.
    """
    text = json.dumps(_info(network, made_for))
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def unpack_info(packed: Tensor) -> dict:
    """``settings`` and ``made_for`` of :func:`pack_info`.

    Raises:
        ValueError: It is of a newer format, or no such tensor.
    """
    return _checked(json.loads(bytes(packed.cpu().tolist()).decode()))


def _info(network: ProtectionUNet, made_for: str | None) -> dict:
    return dict(version=_VERSION, settings=network.settings, made_for=made_for)


def _checked(info: dict) -> dict:
    if info['version'] > _VERSION:
        raise ValueError(f'a protector of format {info["version"]}; this mmppvit knows '
                         f'{_VERSION}: install a newer one')
    return info


def _read_file(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    weights, info = read_tensors(path, _FORMAT)
    if info is None:
        raise ValueError(f'{path} holds no protector: it was not written by save_protector')
    return weights, _checked(info)


def _read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    state = read_state_dict(path)
    if '_extra_state' not in state or not any(name.startswith('protector.') for name in state):
        raise ValueError(f'{path} holds no protector: give a checkpoint of a training in '
                         'configs/protectors/, not that of a plain detector')
    weights = {name.removeprefix('protector.'): value for name, value in state.items()
               if name.startswith('protector.')}
    return weights, unpack_info(state['_extra_state'])
