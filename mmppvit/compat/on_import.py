"""Act at the moment when a package that needs us is imported, and not before.

``import mmppvit`` must not import PyTorch or MMDetection: owners seal images without them. Yet the
fixes of :mod:`mmppvit.compat` have to be in force before ``torchvision`` and ``mmcv.ops`` are
imported, and MMDetection's registries have to know our modules.
"""
from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ['hook_into_imports']

# The packages whose import needs the fixes; others reach torchvision and mmcv through these.
NEED_FIXES = ('torchvision', 'mmcv', 'mmengine', 'timm', 'mmdet')
REGISTER = 'mmppvit.register_names'


def hook_into_imports() -> None:
    """Apply the fixes and register, now or when the packages concerned are imported.

    Calling it again changes nothing, and neither does importing this module again.
    """
    for finder in sys.meta_path:
        if type(finder).__name__ == _Hook.__name__ and type(finder).__module__ == __name__:
            return
    hook = _Hook()
    sys.meta_path.insert(0, hook)
    if any(name in sys.modules for name in NEED_FIXES):
        hook.apply_fixes()
    for name, act in AFTER.items():
        if name in sys.modules:
            act(sys.modules[name])


def add_location(registries: ModuleType) -> None:
    """Let every registry of ``mmdet.registry`` import ``mmppvit.register_names`` when used."""
    from mmengine.registry import Registry
    for registry in vars(registries).values():
        if isinstance(registry, Registry) and registry.scope == 'mmdet' \
                and REGISTER not in registry._locations:
            # First: the fixes must be in force before mmdet.models is imported.
            registry._locations.insert(0, REGISTER)
            # A registry that was used before looks at its locations again; those that are
            # imported already cost nothing.
            registry._imported = False


def find_packages(package_utils: ModuleType) -> None:
    """Let mmengine find installed packages without ``pkg_resources``."""
    from mmppvit.compat.installed_packages import replace_functions
    replace_functions(package_utils)


def adapt_inferencer(inferencer: ModuleType) -> None:
    """Let MMDetection's inferencer take sealed images, and images of one name."""
    from mmppvit.compat.inferencer_names import let_it_keep_names_apart
    from mmppvit.compat.inferencer_pipeline import let_it_load_sealed_images
    let_it_load_sealed_images(inferencer)
    let_it_keep_names_apart(inferencer)


def read_jpegs_without_end(image_io: ModuleType) -> None:
    """Let MMCV read JPEGs that lack their end marker alone, as sealing does."""
    from mmppvit.compat.jpeg_ends import let_it_read_jpegs_without_end
    let_it_read_jpegs_without_end(image_io)


def paste_masks(mask_head: ModuleType) -> None:
    """Let MMDetection paste masks of objects in the padding of whole patches."""
    from mmppvit.compat.mask_pasting import paste_beside_the_image
    paste_beside_the_image(mask_head)


# What happens after the module of this name has been executed.
AFTER: dict[str, Callable[[ModuleType], None]] = {
    'mmcv.image.io': read_jpegs_without_end,
    'mmdet.apis.det_inferencer': adapt_inferencer,
    'mmdet.models.roi_heads.mask_heads.fcn_mask_head': paste_masks,
    'mmdet.registry': add_location,
    'mmengine.utils.package_utils': find_packages,
}


class _Hook(MetaPathFinder):
    """Applies the fixes, then lets the other finders find."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the fixes look for some of these packages themselves
        self._begun = self._fixed = False

    def apply_fixes(self) -> None:
        """Once; other threads wait. Where it fails, every later import fails with the same."""
        if self._fixed:
            return
        with self._lock:
            if self._begun:
                return
            self._begun = True
            try:
                from mmppvit.compat import apply
                apply()
                self._fixed = True
            finally:
                self._begun = self._fixed

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        if name in NEED_FIXES:
            self.apply_fixes()
        if name not in AFTER:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, 'find_spec'):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _ActAfterwards(spec.loader, AFTER[name])
                return spec
        return None


class _ActAfterwards(Loader):
    """Another loader, and something to do with what it has loaded, also when reloaded.

    It wraps: loaders are shared, by all modules of a zip file for instance.
    """

    def __init__(self, loader: Loader, act: Callable[[ModuleType], None]) -> None:
        self._loader, self._act = loader, act

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._act(module)

    def __getattr__(self, name: str) -> Any:
        """What inspect, runpy and importlib.resources ask for, such as ``get_source``."""
        return getattr(self.__dict__['_loader'], name)
