"""What today's PyTorch needs for MMDetection 3.3 to run.

Each piece works around one upstream limitation, names it, and acts only where the real thing is
missing.
:func:`apply` runs before ``torchvision`` or ``mmcv`` is imported, see
:mod:`mmppvit.compat.on_import`.
"""
from importlib.util import find_spec

__all__ = ['apply']


def apply() -> dict:
    """Apply every workaround that this installation needs; calling it again changes nothing.

    Packages that are not installed are passed over, so that the parts of this project which need
    only NumPy keep working without PyTorch or MMDetection.

    Returns:
        dict[str, bool]: For ``torchvision_schemas`` and ``mmcv_ext``: whether the workaround is in
        force.
    """
    report = dict(torchvision_schemas=False, mmcv_ext=False)
    if find_spec('torch') is None:
        return report

    from .mmcv_ext import install_stand_in
    from .torchvision_schemas import declare_schemas
    # torchvision comes first: mmengine and timm import it.
    report['torchvision_schemas'] = declare_schemas()
    report['mmcv_ext'] = install_stand_in()
    return report
