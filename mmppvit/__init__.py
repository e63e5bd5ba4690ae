"""Object detection on images that people cannot read: plug-ins for MMDetection 3.x.

``custom_imports = dict(imports=['mmppvit'])`` in a config makes everything available by name:
MMDetection's registries import :mod:`mmppvit.register` when they are first asked for a module.
This module itself needs nothing but the standard library, so that owners of images can seal them
without PyTorch.
"""
from mmppvit.compat.on_import import hook_into_imports

__version__ = '0.2.0.dev0'

hook_into_imports()
