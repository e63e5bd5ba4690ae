"""The precision in which the operators compute."""
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ['exact', 'without_autocast']


def exact(tensor: Tensor) -> Tensor:
    """The tensor itself if float32 or float64, else cast to float32."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def without_autocast(function: Callable) -> Callable:
    """Decorator: run ``function(tensor, ...)`` with autocast off.

    mmcv's compiled operators are unknown to autocast; the matrix products here are not.
    """

    def wrapped(tensor: Tensor, *args, **kwargs):
        with torch.autocast(tensor.device.type, enabled=False):
            return function(tensor, *args, **kwargs)

    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    wrapped.__wrapped__ = function
    return wrapped
