"""Object detection on images that people cannot read: plug-ins for MMDetection 3.x.

``custom_imports = dict(imports=['mmppvit'])`` in a config makes everything available by name:
MMDetection's registries import :mod:`mmppvit.register_names` when they are first asked for a
module. This one itself needs nothing but the standard library, so that owners of images can seal
them without PyTorch.
"""
from mmppvit.compat.on_import import hook_into_imports

__version__ = '0.2.0.dev0'

hook_into_imports()


def config_path(name: str) -> str:
    """The path of a config of this package, for a config that inherits from it.

    ``_base_ = __import__('mmppvit').config_path('bccd/atss_pevit-tiny_mix_bccd')`` works wherever
    this package is installed, and with every tool that reads MMEngine's configs.

    Args:
        name (str): With its folder or without, with ``.py`` or without.

    Raises:
        FileNotFoundError: There is no such config.
    """
    from mmppvit.utils.config_files import find_config
    return str(find_config(name).resolve())
