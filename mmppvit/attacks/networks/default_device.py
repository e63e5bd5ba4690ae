"""PyTorch's default device, as of ``with torch.device('cuda')``: there attackers learn.

New tensors are made there; modules and arrays have to be brought there.
"""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ['on_cpu', 'on_device', 'on_gpu']


def on_device(array: np.ndarray) -> Tensor:
    """A tensor of the array's type on the default device; on the CPU it shares the memory."""
    return torch.from_numpy(array).to(torch.get_default_device())


def on_cpu() -> bool:
    """Whether the default device is the CPU, and NumPy needs no copies from it."""
    return torch.get_default_device().type == 'cpu'


def on_gpu() -> bool:
    """Whether it is one of CUDA, which has optimizers that are fused into one kernel."""
    return torch.get_default_device().type == 'cuda'
