"""Names in a registry of MMEngine whose modules are imported when somebody asks for them."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module

from mmengine.registry import Registry

__all__ = ['register_later']


def register_later(registry: Registry, names: Mapping[str, Iterable[str]]) -> None:
    """Let ``registry`` know ``names`` without importing what registers them.

    Args:
        registry (Registry): That the modules register themselves in.
        names (Mapping[str, Iterable[str]]): Of each module to import, what it registers.
    """
    known = registry._module_dict
    if not isinstance(known, _ModuleDict):
        registry._module_dict = known = _ModuleDict(known)
    known.later.update({name: module for module, found in names.items() for name in found
                        if not dict.__contains__(known, name)})


class _ModuleDict(dict):
    """What a registry has by name; ``later`` has the modules that are to be imported first.

    A module that registers a name finds it absent, as ``import_module`` returns at once for a
    module that is being imported.
    """

    def __init__(self, known: Mapping) -> None:
        super().__init__(known)
        self.later: dict[str, str] = {}

    def _import(self, name: object) -> None:
        module = self.later.pop(name, None) if isinstance(name, str) else None
        if module is not None:
            import_module(module)

    def _import_all(self) -> None:
        for name in list(self.later):
            self._import(name)

    def __contains__(self, name: object) -> bool:
        self._import(name)
        return super().__contains__(name)

    def __getitem__(self, name: str) -> object:
        self._import(name)
        return super().__getitem__(name)

    def get(self, name: str, default: object = None) -> object:
        self._import(name)
        return super().get(name, default)

    def __iter__(self) -> Iterator[str]:
        self._import_all()
        return super().__iter__()

    def __len__(self) -> int:
        self._import_all()
        return super().__len__()

    def keys(self):
        self._import_all()
        return super().keys()

    def values(self):
        self._import_all()
        return super().values()

    def items(self):
        self._import_all()
        return super().items()
