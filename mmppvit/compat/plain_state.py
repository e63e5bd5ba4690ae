"""Checkpoint contents as nothing but containers, numbers, strings and tensors.

torch >= 2.6 loads weights only, and mmengine 0.10.7 cannot resume from the checkpoints that it
writes (open-mmlab/mmengine #1655): the message hub's ``HistoryBuffer`` objects hold NumPy arrays
and functions. What is no plain value is written as a dict that names its kind, and comes back as it
was.
"""
import numbers
from collections import Counter, OrderedDict, deque
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

__all__ = ['make_plain', 'restore']

# The key under which a dict names what it stands for.
KIND = '__plain__'
_OMIT = object()
_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.Size, torch.dtype,
          torch.device)


def make_plain(value: Any, omitted: list[str] | None = None, where: str = '') -> Any:
    """Rewrite ``value`` so that ``torch.load(weights_only=True)`` accepts it.

    Tensors are passed on, not copied. NumPy numbers become Python numbers and stay so; arrays,
    history buffers, deques and sets are restored by :func:`restore`. Anything else, such as a
    function in a scheduler's state, is left out of its container.

    Args:
        value: A part of a checkpoint. Nothing in it is modified.
        omitted (list[str], optional): Receives the places of what was left out.
        where (str): The place of ``value`` itself.

    Returns:
        The plain value. Plain values, and what this function returned, come back equal.
    """
    omitted = [] if omitted is None else omitted
    plain = _plain(value, where, omitted)
    return None if plain is _OMIT else plain


def _plain(value: Any, where: str, omitted: list[str]) -> Any:
    # Exact types: an enumeration member is an int, too, and is pickled by its class.
    if type(value) in _PLAIN or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, HistoryBuffer):
        logs, counts = value.data
        return {KIND: 'HistoryBuffer', 'log_history': _array(logs, where, omitted),
                'count_history': _array(counts, where, omitted), 'max_length': value.max_length}
    if isinstance(value, np.ndarray):
        return _array(value, where, omitted)
    if isinstance(value, np.generic):
        return _plain(value.item(), where, omitted)
    if isinstance(value, dict):
        return _mapping(value, where, omitted)
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return _sequence(value, where, omitted)
    for base in (str, numbers.Integral, numbers.Real, PurePath):
        if isinstance(value, base):
            return {numbers.Integral: int, numbers.Real: float}.get(base, str)(value)
    omitted.append(f'{where} ({type(value).__name__})')
    return _OMIT


def _array(array: np.ndarray, where: str, omitted: list[str]) -> dict:
    try:
        if array.dtype.kind == 'u' and array.dtype.itemsize > 1:
            raise TypeError('torch < 2.6 cannot save wide unsigned integers')
        data = torch.from_numpy(np.array(array, order='C'))
    except (TypeError, ValueError):  # strings, objects, dtypes and byte orders that torch lacks
        data = _plain(array.tolist(), where, omitted)
    dtype = 'object' if array.dtype.hasobject else array.dtype.str
    return {KIND: 'ndarray', 'data': data, 'dtype': dtype, 'shape': tuple(array.shape)}


def _mapping(value: dict, where: str, omitted: list[str]) -> dict:
    """The classes that torch knows keep their class, other dicts become plain ones."""
    kind = next((c for c in (OrderedDict, Counter) if type(value) is c), dict)
    plain = kind()
    for key, item in value.items():
        name = _plain(key, where, omitted)
        item = _plain(item, f'{where}.{key}'.lstrip('.'), omitted)
        if name is not _OMIT and item is not _OMIT:
            plain[name] = item
    return plain


def _sequence(value, where: str, omitted: list[str]):
    items = [_plain(item, f'{where}[{i}]', omitted) for i, item in enumerate(value)]
    items = [item for item in items if item is not _OMIT]
    if isinstance(value, list):
        return items
    if isinstance(value, tuple):
        return tuple(items)
    if isinstance(value, deque):
        return {KIND: 'deque', 'items': items, 'maxlen': value.maxlen}
    return {KIND: type(value).__name__, 'items': items}


def restore(value: Any) -> Any:
    """Bring back what :func:`make_plain` rewrote; other values are returned as they are.

    Raises:
        ValueError: If a dict names an unknown kind, as one written by a newer version would.
    """
    if isinstance(value, dict):
        items = {key: restore(item) for key, item in value.items()}
        if KIND in items:
            return _revive(items)
        return items if type(value) is dict else type(value)(items)
    if type(value) in (list, tuple):
        return type(value)(restore(item) for item in value)
    return value


def _revive(items: dict) -> Any:
    kind = items[KIND]
    if kind == 'HistoryBuffer':
        return HistoryBuffer(items['log_history'], items['count_history'], items['max_length'])
    if kind == 'ndarray':
        data = items['data']
        data = data.cpu().numpy() if isinstance(data, torch.Tensor) else data
        return np.array(data, dtype=np.dtype(items['dtype'])).reshape(items['shape'])
    if kind == 'deque':
        return deque(items['items'], items['maxlen'])
    if kind in ('set', 'frozenset'):
        return dict(set=set, frozenset=frozenset)[kind](items['items'])
    raise ValueError(f'the checkpoint holds an object of the unknown kind {kind!r}; '
                     'a newer version of mmppvit may have written it')
