"""torchvision beside a build of torch that its binary does not match.

``import torchvision`` then raises ``operator torchvision::nms does not exist`` (pytorch/pytorch
#122494, #157648): its Python code attaches fake kernels to operators that only the binary declares.
Declaring the two schemas is enough for the import, and for timm, mmengine and mmdet, which need no
more than torchvision's Python part. Calling such an operator still raises torchvision's own error.
"""
import importlib.machinery
import os
import sys
from functools import cache
from importlib.util import find_spec

import torch

__all__ = ['binary_loads', 'declare_schemas', 'has_kernel']

# The operators to which torchvision attaches fake kernels unconditionally, as its binary has them.
SCHEMAS = dict(
    nms='nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    qnms='qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')

# A declaration is taken back when its handle is collected.
_handles = []


@cache
def binary_loads() -> bool:
    """Whether torchvision is installed and its operators load into this torch."""
    spec = find_spec('torchvision')
    if spec is None or not spec.submodule_search_locations:
        return False
    folder = next(iter(spec.submodule_search_locations))
    finder = importlib.machinery.FileFinder(
        folder, (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES))
    binary = finder.find_spec('_C')
    if binary is None:
        return False
    if hasattr(os, 'add_dll_directory'):
        os.add_dll_directory(folder)
    try:
        torch.ops.load_library(binary.origin)
    except (ImportError, OSError):
        return False
    return hasattr(torch.ops.torchvision, 'nms')


def has_kernel(op: str, device: torch.device) -> bool:
    """Whether torchvision's operator ``op`` can run on ``device``.

    A CPU build of torchvision beside a CUDA build of torch loads, but has no kernels for the GPU.
    """
    return binary_loads() and torch._C._dispatch_has_kernel_for_dispatch_key(
        f'torchvision::{op}', torch.device(device).type.upper())


def declare_schemas() -> bool:
    """Declare the schemas that torchvision's binary should have brought, if it cannot load.

    Returns:
        bool: Whether declared schemas stand in for the binary.
    """
    if _handles:
        return True
    if find_spec('torchvision') is None or binary_loads():
        return False
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for name, schema in SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    _handles.append(library)
    # A failed import leaves the submodules that it had finished. A later import would take them
    # from sys.modules without making them attributes of the new parent.
    for package in ('torchvision', 'timm'):
        _forget_orphans(package)
    return True


def _forget_orphans(package: str) -> None:
    """Drop the modules of ``package`` from ``sys.modules`` that have lost a parent."""
    for name in sorted(n for n in sys.modules if n.startswith(package + '.')):
        if name.rpartition('.')[0] not in sys.modules:
            del sys.modules[name]
