"""One file for tensors and what is said of them: ``.safetensors`` with JSON in its metadata."""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mmppvit.utils.atomic import write_atomic

__all__ = ['read_tensors', 'write_tensors']


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], info: dict, entry: str) -> None:
    """Write tensors and JSON; the file appears whole or not at all, and the same makes the same.

    Args:
        path (str | Path): The file; one that is there is replaced.
        tensors (Mapping[str, Tensor]): Its tensors.
        info (dict): What JSON can say.
        entry (str): Key of the one entry of the metadata; several would come in any order.
    """
    # Modules may share tensors, and views bring more memory along: the format wants neither.
    owned = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    write_atomic(path, save(owned, {entry: json.dumps(info)}), sync=True)


def read_tensors(path: str | Path, entry: str) -> tuple[dict[str, Tensor], dict | None]:
    """Tensors and info of a file of :func:`write_tensors`; nothing in it ever runs.

    Returns:
        tuple[dict, dict | None]: The info is None if the file has no such entry; the tensors are
        not read then.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no safetensors file, a part of one, or the entry is not JSON.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no file {path}')
    try:
        with safe_open(path, framework='pt') as file:
            metadata = file.metadata() or {}
            if entry not in metadata:
                return {}, None
            info = json.loads(metadata[entry])
            return {name: file.get_tensor(name) for name in file.keys()}, info  # noqa: SIM118
    except SafetensorError as err:
        raise ValueError(f'{path} is not a .safetensors file, or a damaged one: {err}') from err
