"""Object detection on images that people cannot read: plug-ins for MMDetection 3.x.

``custom_imports = dict(imports=['mmppvit'])`` in a config registers everything. Without
MMDetection only :mod:`mmppvit.encryption` is there, which needs NumPy alone.
"""
from importlib.util import find_spec

__version__ = '0.1.0'

if find_spec('mmdet') is not None:
    from mmppvit.compat import apply as _apply_compat

    _apply_compat()  # before anything that imports mmcv.ops or torchvision

    from mmppvit import classification, datasets, engine, models  # noqa: F401
    from mmppvit.visualization import sealed_visualizer  # noqa: F401
