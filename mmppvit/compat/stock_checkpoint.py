"""Reading checkpoints of stock mmengine without ``weights_only=False``.

Their message hubs are pickled with ``HistoryBuffer``, NumPy's array constructors and, for the
buffer's statistics, ``getattr``. Allowing the last would allow everything, so none of these names
is trusted: each is mapped to a stand-in of this module that can do no more than build an array of
numbers.
"""
import collections
import io
import pickle
import re
from typing import Any

import numpy as np
import torch

from mmppvit.utils.atomic import write_atomic
from mmppvit.utils.user_errors import RunError

from .plain_state import KIND

__all__ = ['load_mmengine_checkpoint', 'rewrite_checkpoint']

REMEDY = ('Where it was written, keep only checkpoint["state_dict"] and save it again; it then '
          'serves for `load_from`, though not for `resume`.')


class _Dtype:
    """In place of ``numpy.dtype``; numbers only."""

    def __init__(self, code: str, *args) -> None:
        self.dtype = np.dtype(code)
        if self.dtype.kind not in 'biufc':
            raise pickle.UnpicklingError(f'refused to load an array of dtype {code!r}')

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """In place of ``numpy.ndarray``."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, _, data = state
        self.array = np.frombuffer(data, dtype.dtype).reshape(shape).copy()


class _Buffer:
    """In place of ``HistoryBuffer``; its statistics are those of the installed mmengine."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


def _reconstruct(subtype: Any, shape: Any, code: Any) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, data: bytes) -> float:
    return np.frombuffer(data, dtype.dtype)[0].item()


def _statistic(owner: Any, name: str) -> str:
    """In place of ``getattr``, of which only the name is kept."""
    return name


def _stand_ins() -> list:
    multiarray = [(f, f'numpy.{core}.multiarray.{name}') for core in ('core', '_core')
                  for f, name in ((_reconstruct, '_reconstruct'), (_scalar, 'scalar'))]
    return [
        *multiarray,
        (_Array, 'numpy.ndarray'),
        (_Dtype, 'numpy.dtype'),
        (_statistic, 'builtins.getattr'),
        (_Buffer, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (collections.defaultdict, 'collections.defaultdict'),
        (dict, 'builtins.dict'),
        (list, 'builtins.list'),
    ]


def load_mmengine_checkpoint(path: str, map_location: Any = 'cpu') -> dict:
    """Load a checkpoint that stock mmengine saved, under ``weights_only=True``.

    Args:
        path (str): A local file.
        map_location: As for ``torch.load``.

    Returns:
        dict: The checkpoint in the plain form of :func:`mmppvit.compat.plain_state.make_plain`,
        which :func:`rewrite_checkpoint` saves and every runner with our hook resumes from.

    Raises:
        RuntimeError: If the file holds other objects than numbers, tensors, arrays and history
            buffers.
    """
    try:
        with torch.serialization.safe_globals(_stand_ins()):
            checkpoint = torch.load(path, map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own text recommends weights_only=False, or to allow whatever the file names; only
        # what names the object is kept of it.
        text = str(error)
        found = re.search(r'GLOBAL (\S+)', text) or re.search(r'WeightsUnpickler error:\s*(\S.*)',
                                                              text)
        raise RunError(f'{path} holds an object that is not safe to load: '
                       f'{found[1] if found else error}. {REMEDY}') from None
    return _plain(checkpoint)


def rewrite_checkpoint(source: str, target: str) -> None:
    """Save what :func:`load_mmengine_checkpoint` reads from ``source`` as ``target``."""
    buffer = io.BytesIO()
    torch.save(load_mmengine_checkpoint(source), buffer)
    write_atomic(target, buffer.getvalue(), sync=True)


def _plain(value: Any) -> Any:
    """Replace the stand-ins by plain values, inside of containers in place."""
    if isinstance(value, _Buffer):
        state = value.state
        return {KIND: 'HistoryBuffer', 'log_history': _plain(state['_log_history']),
                'count_history': _plain(state['_count_history']),
                'max_length': state['max_length']}
    if isinstance(value, _Array):
        return {KIND: 'ndarray', 'data': torch.from_numpy(value.array),
                'dtype': value.array.dtype.str, 'shape': tuple(value.array.shape)}
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            value[key] = _plain(item)
    elif type(value) is tuple:
        return tuple(_plain(item) for item in value)
    return value
