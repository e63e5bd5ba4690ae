"""The device that an attack was asked to learn on: is it there, and what is its name."""
from __future__ import annotations

import platform
import re

__all__ = ['check_device', 'device_kind', 'device_name']


def device_kind(device: str) -> str:
    """'cpu' or 'cuda'.

    Raises:
        ValueError: ``device`` is neither of these nor 'cuda:' and a number.
    """
    if not re.fullmatch(r'cpu|cuda(:(0|[1-9][0-9]*))?', device):
        raise ValueError(f'device must be cpu, cuda, or cuda:1 and so on, got {device!r}')
    return device.partition(':')[0]


def check_device(device: str) -> None:
    """Whether PyTorch can use it.

    Raises:
        ValueError: There is no such device.
    """
    if device_kind(device) == 'cpu':
        return
    import torch  # only for those who have a GPU
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise ValueError(f'device {device}: PyTorch {torch.__version__} finds no GPU here; install '
                         'its build for CUDA and check nvidia-smi, or take --device cpu')
    if int(device.partition(':')[2] or 0) >= count:
        raise ValueError(f'device {device}: there are {count} GPUs here, counted from cuda:0')


def device_name(device: str) -> str:
    """The name of the GPU, or of the processor."""
    if device_kind(device) == 'cpu':
        return platform.processor() or platform.machine()
    import torch
    return torch.cuda.get_device_name(device)
