"""Messages between owner and host: a checked JSON header and tensors, never pickle."""
from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import NoReturn

import torch
from safetensors.torch import load, save
from torch import Tensor

__all__ = ['MAX_HEADER', 'MAX_MESSAGE', 'VERSION', 'ProtocolError', 'decode', 'encode', 'fields']

VERSION = 1
MAX_HEADER = 2**20  # bytes; a learning rate for each of a thousand parameters fits
MAX_MESSAGE = 2**26  # bytes, header and tensors together
_PREFIX = struct.Struct('>4sHI')  # magic, version, length of the header
_MAGIC = b'MPV2'
_DTYPES = {torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int8}
_MAX_TENSORS = 4096


class ProtocolError(ValueError):
    """The other party sent what the protocol does not allow; nothing was changed by it."""


def encode(header: dict, tensors: Mapping[str, Tensor] | None = None) -> bytes:
    """A message.

    Args:
        header (dict): What JSON can say, without NaN and infinity.
        tensors (Mapping[str, Tensor], optional): On any device.

    Raises:
        ValueError: It is larger than :data:`MAX_MESSAGE`.
    """
    text = json.dumps(header, allow_nan=False, separators=(',', ':')).encode()
    payload = save({k: v.detach().cpu().contiguous() for k, v in (tensors or {}).items()})
    message = _PREFIX.pack(_MAGIC, VERSION, len(text)) + text + payload
    if len(text) > MAX_HEADER or len(message) > MAX_MESSAGE:
        raise ValueError(f'a message of {len(message) / 2**20:.1f} MiB is larger than the '
                         f'{MAX_MESSAGE // 2**20} MiB that the protocol allows: lower the batch '
                         'size')
    return message


def decode(message: bytes) -> tuple[dict, dict[str, Tensor]]:
    """Header and tensors of a message of :func:`encode`, from a party that may be hostile.

    Raises:
        ProtocolError: It is none, of another version, too large, or has tensors of other types.
    """
    if len(message) > MAX_MESSAGE:
        raise ProtocolError(f'a message of {len(message)} bytes is larger than {MAX_MESSAGE}')
    if len(message) < _PREFIX.size:
        raise ProtocolError(f'a message of {len(message)} bytes is none')
    magic, version, length = _PREFIX.unpack_from(message)
    if magic != _MAGIC:
        raise ProtocolError('not a message of mmppvit')
    if version != VERSION:
        raise ProtocolError(f'the other party speaks version {version} of the protocol, and this '
                            f'one version {VERSION}: install the same version of mmppvit on both')
    start = _PREFIX.size + length
    if length > MAX_HEADER or start > len(message):
        raise ProtocolError(f'a header of {length} bytes in a message of {len(message)}')
    return _header(message[_PREFIX.size:start]), _tensors(message[start:])


def _header(text: bytes) -> dict:
    try:
        header = json.loads(text.decode(), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as err:
        raise ProtocolError(f'the header is not valid: {type(err).__name__}') from None
    if not isinstance(header, dict):
        raise ProtocolError(f'the header is a {type(header).__name__} and no object')
    return header


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f'{name} in a header')


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError('a number in the header is too large')
    return value


def _tensors(payload: bytes) -> dict[str, Tensor]:
    try:
        tensors = load(payload)
    except Exception as err:  # safetensors raises several kinds, KeyError for unknown types
        raise ProtocolError(f'the tensors cannot be read: {type(err).__name__}') from None
    if len(tensors) > _MAX_TENSORS:
        raise ProtocolError(f'{len(tensors)} tensors in one message')
    for name, value in tensors.items():
        if value.dtype not in _DTYPES:
            raise ProtocolError(f'tensor {name[:80]!r} is of type {value.dtype}')
    return tensors


def fields(data: object, spec: Mapping[str, tuple], where: str) -> dict:
    """``data`` if it is a dict with these keys and types and no others.

    Args:
        data (object): What came from outside.
        spec (Mapping[str, tuple]): For each key its types; ``type(None)`` among them makes the
            key optional. A bool is no int.

    Raises:
        ProtocolError: It is not.
    """
    if not isinstance(data, dict):
        raise ProtocolError(f'{where} is no object')
    unknown = [str(key)[:40] for key in data if key not in spec]
    if unknown:
        raise ProtocolError(f'{where} has unknown fields {sorted(unknown)[:5]}; known are '
                            f'{sorted(spec)}')
    for key, types in spec.items():
        value = data.get(key)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ProtocolError(f'{where}: {key!r} is missing or of another type than '
                                f'{"/".join(t.__name__ for t in types)}')
    return data
