"""How tokens and their gradients travel: as floats of some width, as 8 bits, or as signs."""
from __future__ import annotations

import torch
from torch import Tensor

from mmppvit.two_party.messages import ProtocolError

__all__ = ['WIRE_TYPES', 'pack_rows', 'unpack_rows']

_FLOATS = dict(float32=torch.float32, float16=torch.float16, bfloat16=torch.bfloat16)
WIRE_TYPES = (*_FLOATS, 'int8', 'sign')
_BITS = 2 ** torch.arange(7, -1, -1, dtype=torch.uint8)


def pack_rows(rows: Tensor, kind: str, name: str) -> dict[str, Tensor]:
    """(T, D) floats -> the tensors that travel.

    'int8' has one scale for each row, the largest magnitude / 127; 'sign' one bit for each number
    and the row's mean magnitude.

    Args:
        rows (Tensor): (T, D), finite.
        kind (str): One of :data:`WIRE_TYPES`.
        name (str): Of the tensor in the message.
    """
    rows = rows.detach().float()
    if kind in _FLOATS:
        limit = torch.finfo(_FLOATS[kind]).max  # float16 ends at 65504
        return {name: rows.clamp(-limit, limit).to(_FLOATS[kind])}
    if kind == 'int8':
        scale = rows.abs().amax(1) / 127
        levels = rows / scale.clamp_min(torch.finfo(torch.float32).tiny)[:, None]
        return {name: levels.round().clamp(-127, 127).to(torch.int8), f'{name}.scale': scale}
    if kind == 'sign':
        padded = torch.nn.functional.pad((rows >= 0).to(torch.uint8), (0, -rows.shape[1] % 8))
        bits = padded.unflatten(1, (-1, 8)) * _BITS.to(rows.device)
        return {name: bits.sum(2).to(torch.uint8), f'{name}.scale': rows.abs().mean(1)}
    raise ValueError(f'wire type {kind!r} is none of {", ".join(WIRE_TYPES)}')


def unpack_rows(tensors: dict[str, Tensor], kind: str, name: str,
                shape: tuple[int, int]) -> Tensor:
    """What :func:`pack_rows` packed, float32; the tensors may come from a hostile party.

    Raises:
        ProtocolError: They are not of this kind and shape, or not finite.
    """
    count, dims = shape
    dtype, width = _FLOATS.get(kind), dims
    if kind == 'int8':
        dtype = torch.int8
    elif kind == 'sign':
        dtype, width = torch.uint8, -(-dims // 8)
    value = _checked(tensors, name, dtype, (count, width))
    if kind in _FLOATS:
        return value.float()
    scale = _checked(tensors, f'{name}.scale', torch.float32, (count, ))
    if kind == 'int8':
        rows = value.float() * scale[:, None]
    else:
        bits = (value[:, :, None] & _BITS > 0).flatten(1)[:, :dims]
        rows = (bits.float() * 2 - 1) * scale[:, None]
    if not torch.isfinite(rows).all():
        raise ProtocolError(f'{name!r} overflows')
    return rows


def _checked(tensors: dict[str, Tensor], name: str, dtype: torch.dtype | None,
             shape: tuple) -> Tensor:
    value = tensors.get(name)
    if value is None or value.dtype != dtype or tuple(value.shape) != shape:
        found = None if value is None else (value.dtype, tuple(value.shape))
        raise ProtocolError(f'expected {name!r} of type {dtype} and shape {shape}, got {found}')
    if value.is_floating_point() and not torch.isfinite(value).all():
        raise ProtocolError(f'{name!r} has values that are not finite')
    return value
