"""torchvision beside a build of torch that its binary does not match.

``import torchvision`` then raises ``operator torchvision::nms does not exist`` (pytorch/pytorch
#122494, #157648): its Python code attaches fake kernels to operators that only the binary declares.
Declaring the two schemas is enough for the import, and for timm, mmengine and mmdet, which need no
more than torchvision's Python part. Calling such an operator still raises torchvision's own error.
"""
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_loader

import torch

__all__ = ['binary_loads', 'declare_schemas', 'has_kernel']

# The operators to which torchvision attaches fake kernels unconditionally, as its binary has them.
SCHEMAS = dict(
    nms='nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    qnms='qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
# Another name for torchvision's folder, under which a part of it is imported without the rest.
ALIAS = '_mmppvit_torchvision'

# A declaration is taken back when its handle is collected.
_handles = []


@cache
def binary_loads() -> bool:
    """Whether torchvision is installed and its operators load into this torch.

    torchvision's own module says so, ``torchvision.extension``, which knows the name of its binary:
    ``_C`` up to 0.28, ``_C_stable`` since. ``import torchvision.extension`` would import all of
    torchvision, which is what fails without the operators.
    """
    loaded = sys.modules.get('torchvision.extension')
    if loaded is not None:
        return loaded._has_ops()
    spec = find_spec('torchvision')
    if spec is None or not spec.submodule_search_locations:
        return False
    parent = module_from_spec(spec_from_loader(ALIAS, loader=None, is_package=True))
    parent.__path__ = list(spec.submodule_search_locations)
    sys.modules[ALIAS] = parent
    try:
        return import_module(f'{ALIAS}.extension')._has_ops()
    except ImportError:  # no torchvision that we know
        return False
    finally:
        for name in [n for n in sys.modules if n.partition('.')[0] == ALIAS]:
            del sys.modules[name]


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
