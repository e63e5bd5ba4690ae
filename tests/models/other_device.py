"""A second device on a machine without one: tensors that say they are elsewhere, and do not mix.

A tensor of the other device holds one of the CPU, and every operation is done there, so values,
also those that sizes depend on, are those of the CPU. What a GPU refuses is refused: operations on
tensors of both devices, but for numbers without dimensions and for indices, as PyTorch's CUDA
kernels take these from the CPU.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import torch
from mmengine.structures.instance_data import IndexType
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

__all__ = ['OTHER', 'MixedDevicesError', 'other_device']

OTHER = torch.device('meta')  # of those without hardware, autograd knows this one
_aten = torch.ops.aten
_BETWEEN = (_aten._to_copy.default, _aten.copy_.default, _aten._copy_from.default)
_INDEXING = (_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default,
             _aten._index_put_impl_.default, _aten._unsafe_index.Tensor)


class MixedDevicesError(RuntimeError):
    """An operation got tensors of both devices."""


class _Elsewhere(torch.Tensor):
    """A tensor of the other device; ``held`` is its content on the CPU."""

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, layout=held.layout, device=OTHER)
        made.held = held
        return made

    def __repr__(self, *, tensor_contents=None) -> str:
        return f'elsewhere({self.held!r})'

    # What PyTorch makes of Python's numbers for 'meta' has no content.

    def __getitem__(self, index):
        return super().__getitem__(_tensors_of(index))

    def __setitem__(self, index, value) -> None:
        super().__setitem__(_tensors_of(index), value)

    def new_tensor(self, data, dtype=None, device=None, requires_grad=False) -> torch.Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype).to(
            device or OTHER).requires_grad_(requires_grad)

    def tolist(self) -> list:
        return self.held.tolist()

    def __tensor_flatten__(self):
        return ['held'], None

    @staticmethod
    def __tensor_unflatten__(inner, meta, outer_size, outer_stride):
        return _Elsewhere(inner['held'])

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _tensors_of(index):
    """An index whose lists and arrays are tensors."""
    if isinstance(index, tuple):
        return tuple(map(_tensors_of, index))
    return torch.as_tensor(index) if isinstance(index, (list, np.ndarray)) else index


def _run(func, args: tuple, kwargs: dict):
    flat, _ = tree_flatten((args, kwargs))
    tensors = [value for value in flat if isinstance(value, torch.Tensor)]
    there = any(isinstance(value, _Elsewhere) for value in tensors)
    device = kwargs.get('device')
    if device is not None:
        kwargs = kwargs | dict(device=torch.device('cpu'))
    if func in _BETWEEN:
        return _between(func, args, kwargs, device)
    if not there and device is not None and torch.device(device).type == OTHER.type:
        there = True
    elif there:
        _refuse_mixing(func, args, tensors)
    held_args, held_kwargs = tree_map(_held, args), tree_map(_held, kwargs)
    out = func(*held_args, **held_kwargs)
    if not there:
        return out
    out = tree_map(lambda value: _Elsewhere(value.resolve_conj())
                   if isinstance(value, torch.Tensor) else value, out)
    return return_and_correct_aliasing(func, args, kwargs, out)


def _between(func, args: tuple, kwargs: dict, device):
    source = args[0]
    if func is not _aten._to_copy.default:  # the target stays where it is
        func(*tree_map(_held, args), **kwargs)
        return source
    out = func(_held(source), **kwargs)
    there = isinstance(source, _Elsewhere) if device is None else \
        torch.device(device).type == OTHER.type
    return _Elsewhere(out) if there else out


def _refuse_mixing(func, args: tuple, tensors: list[torch.Tensor]) -> None:
    if func in _INDEXING and isinstance(args[0], _Elsewhere):
        tensors = [value for value in (args[0], *args[2:3]) if isinstance(value, torch.Tensor)]
    here = [value for value in tensors if not isinstance(value, _Elsewhere) and value.dim()]
    if here:
        raise MixedDevicesError(f'{func} on tensors of both devices: one of shape '
                                f'{tuple(here[0].shape)} is on the CPU')


def _held(value):
    return value.held if isinstance(value, _Elsewhere) else value


class _Factories(TorchDispatchMode):
    """Makes tensors of the other device where it is asked for."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _FromNumbers(TorchFunctionMode):
    """Tensors of Python's numbers, of which PyTorch would keep none on the device 'meta'."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and kwargs.get('device') is not None:
            device, grad = kwargs['device'], kwargs.get('requires_grad', False)
            kwargs = {name: value for name, value in kwargs.items()
                      if name not in ('device', 'requires_grad')}
            return func(*args, **kwargs).to(device).requires_grad_(grad)
        return func(*args, **kwargs)


def _as_on_cpu(self, device_type: str, *args, **kwargs) -> None:
    """Autocast of the other device, which has none of its own."""
    _AUTOCAST(self, 'cpu' if device_type == OTHER.type else device_type, *args, **kwargs)


_AUTOCAST = torch.autocast.__init__


@contextmanager
def other_device() -> Iterator[torch.device]:
    """Within it ``device='meta'`` is the other device."""
    # MMEngine takes tensors of the CPU, CUDA and a few others as indices.
    indices = mock.patch('mmengine.structures.instance_data.IndexType',
                         IndexType | torch.Tensor)
    autocast = mock.patch.object(torch.autocast, '__init__', _as_on_cpu)
    # Tensors of inference have no version, which wrappers need.
    inference = mock.patch('torch.inference_mode', torch.no_grad)
    with indices, autocast, inference, _Factories(), _FromNumbers():
        yield OTHER
