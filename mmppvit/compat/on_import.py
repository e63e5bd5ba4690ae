"""Act at the moment when a package that needs us is imported, and not before.

``import mmppvit`` must not import PyTorch or MMDetection: owners seal images without them. Yet the
fixes of :mod:`mmppvit.compat` have to be in force before ``torchvision`` and ``mmcv.ops`` are
imported, and MMDetection's registries have to know our modules.
"""
from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

__all__ = ['hook_into_imports']

# The packages whose import needs the fixes; others reach torchvision and mmcv through these.
NEED_FIXES = ('torchvision', 'mmcv', 'mmengine', 'timm', 'mmdet')
REGISTRIES = 'mmdet.registry'
REGISTER = 'mmppvit.register'


def hook_into_imports() -> None:
    """Apply the fixes and register, now or when the packages concerned are imported.

    Calling it again changes nothing.
    """
    if any(isinstance(finder, _Hook) for finder in sys.meta_path):
        return
    hook = _Hook()
    sys.meta_path.insert(0, hook)
    if any(name in sys.modules for name in NEED_FIXES):
        hook.apply_fixes()
    if REGISTRIES in sys.modules:
        add_location(sys.modules[REGISTRIES])


def add_location(registries: ModuleType) -> None:
    """Let every registry of ``mmdet.registry`` import :mod:`mmppvit.register` when it is used."""
    from mmengine.registry import Registry
    for registry in vars(registries).values():
        if isinstance(registry, Registry) and registry.scope == 'mmdet' \
                and REGISTER not in registry._locations:
            # First: the fixes must be in force before mmdet.models is imported.
            registry._locations.insert(0, REGISTER)
            # A registry that was used before looks at its locations again; those that are
            # imported already cost nothing.
            registry._imported = False


class _Hook(MetaPathFinder):
    """Finds nothing itself."""

    def __init__(self) -> None:
        self._fixed = False

    def apply_fixes(self) -> None:
        if not self._fixed:
            self._fixed = True  # first: the fixes import some of these packages
            from mmppvit.compat import apply
            apply()

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        if name in NEED_FIXES:
            self.apply_fixes()
        if name != REGISTRIES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                add_location(module)

            spec.loader.exec_module = exec_module
        return spec
