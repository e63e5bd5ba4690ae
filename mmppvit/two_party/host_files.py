"""Files of the host: tensors and JSON, whole or not at all."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mmppvit.two_party.messages import ProtocolError
from mmppvit.utils.atomic import write_atomic

__all__ = ['find_state', 'read_state', 'remove_others', 'write_state']


def write_state(path: Path, tensors: dict[str, Tensor], info: dict) -> str:
    """Write the tensors and what belongs to them; returns the SHA-256 of the tensors."""
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in sorted(tensors.items())}
    digest = hashlib.sha256(save(tensors)).hexdigest()
    write_atomic(path, save(tensors, {'mmppvit': json.dumps(dict(info, digest=digest))}),
                 sync=True)
    return digest


def read_state(path: Path) -> tuple[dict[str, Tensor], dict]:
    """What :func:`write_state` wrote.

    Raises:
        ProtocolError: The file is damaged.
    """
    try:
        with safe_open(path, framework='pt') as file:
            info = json.loads(file.metadata()['mmppvit'])
            digest = info['digest']
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as err:
        raise ProtocolError(f'{path.name} of the host is damaged: {type(err).__name__}') from None
    if hashlib.sha256(save(dict(sorted(tensors.items())))).hexdigest() != digest:
        raise ProtocolError(f'{path.name} of the host is damaged: its digest is another one')
    return tensors, info


def find_state(folder: Path) -> Path | None:
    """The newest snapshot."""
    found = sorted(folder.glob('*.safetensors'), key=lambda p: p.stat().st_mtime_ns)
    return found[-1] if found else None


def remove_others(path: Path) -> None:
    """Remove older snapshots and their journals."""
    for other in path.parent.iterdir():
        if other.stem != path.stem:
            other.unlink(missing_ok=True)
