"""Stock MMDetection configs to encrypted ones, and the guard against numbers of the wrong frame.

The package can be called: ``mmppvit.adapt('mmdet::fcos/...')`` is :func:`adapt_config`. Nothing
heavy is imported before that.
"""
import sys
from importlib import import_module
from types import ModuleType

__all__ = ['Adapted', 'CannotAdapt', 'adapt_config', 'adapt_stock', 'write_child_config']

_HOMES = dict(
    Adapted='adaptation',
    CannotAdapt='config_changes',
    adapt_config='adaptation',
    adapt_stock='adaptation',
    write_child_config='child_config')


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)


class _CallablePackage(ModuleType):
    """``mmppvit.adapt`` is a package, and to its users the function of the same name."""

    def __call__(self, cfg, **options):
        return self.adapt_config(cfg, **options)


sys.modules[__name__].__class__ = _CallablePackage
