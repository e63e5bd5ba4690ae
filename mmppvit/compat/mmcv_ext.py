"""A stand-in for ``mmcv._ext``, the compiled operators that mmcv-lite does not have.

``mmdet.models`` imports ``mmcv.ops``, which asks ``mmcv._ext`` for every one of its functions
(open-mmlab/mmcv #2059). mmcv 2.1 has no wheels for current torch and building it takes minutes, yet
most detectors call no more than the few operators below. Any other operator raises when called.
"""
import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType

from mmppvit.utils.user_errors import RunError

__all__ = ['OPERATORS', 'compiled_ext_exists', 'install_stand_in']

# The operator's name in mmcv._ext: the module of mmppvit.compat.ops that has it.
OPERATORS = dict(
    nms='nms',
    softnms='soft_nms',
    roi_align_forward='roi_align',
    roi_align_backward='roi_align',
    sigmoid_focal_loss_forward='focal_loss',
    sigmoid_focal_loss_backward='focal_loss',
    softmax_focal_loss_forward='focal_loss',
    softmax_focal_loss_backward='focal_loss',
    ms_deform_attn_forward='deform_attn',
    ms_deform_attn_backward='deform_attn',
    deform_conv_forward='deform_conv',
    deform_conv_backward_input='deform_conv',
    deform_conv_backward_parameters='deform_conv',
    modulated_deform_conv_forward='deform_conv',
    modulated_deform_conv_backward='deform_conv')

# mmcv.utils.collect_env calls these two to describe the installation, so they must not raise.
DESCRIPTIONS = ('get_compiler_version', 'get_compiling_cuda_version')

REMEDY = (
    'Install the compiled mmcv in place of mmcv-lite: `pip uninstall mmcv-lite`, then either '
    '`mim install mmcv==2.1.0`, where OpenMMLab has a wheel for your torch and CUDA, or '
    '`pip install "mmcv==2.1.0" --no-build-isolation`, which needs a compiler and about 20 '
    'minutes.')


class _StandIn(ModuleType):
    """The module; functions are looked up when mmcv.ops asks for them."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        if name in OPERATORS:
            module = importlib.import_module(f'mmppvit.compat.ops.{OPERATORS[name]}')
            function = getattr(module, name)
        elif name in DESCRIPTIONS:
            function = _not_compiled
        else:
            function = _refusal(name)
        setattr(self, name, function)
        return function


def _not_compiled() -> str:
    return 'n/a (operators of mmppvit.compat)'


def _refusal(name: str) -> Callable:

    def refuse(*args, **kwargs):
        raise RunError(
            f'the operator {name!r} needs the compiled mmcv, which is not installed. {REMEDY}')

    refuse.__name__ = name
    return refuse


def compiled_ext_exists() -> bool:
    """Whether a compiled ``mmcv._ext`` is installed; neither it nor mmcv is imported."""
    loaded = sys.modules.get('mmcv._ext')
    if loaded is not None:
        return not isinstance(loaded, _StandIn)
    mmcv = find_spec('mmcv')
    if mmcv is None or mmcv.submodule_search_locations is None:
        return False
    return PathFinder.find_spec('mmcv._ext', mmcv.submodule_search_locations) is not None


def install_stand_in() -> bool:
    """Put the stand-in into ``sys.modules``, if mmcv is installed without compiled operators.

    Returns:
        bool: Whether the stand-in is in force.
    """
    if isinstance(sys.modules.get('mmcv._ext'), _StandIn):
        return True
    if find_spec('mmcv') is None or compiled_ext_exists():
        return False
    module = _StandIn('mmcv._ext', __doc__)
    # importlib.util.find_spec raises ValueError for a loaded module without a spec.
    module.__spec__ = ModuleSpec('mmcv._ext', loader=None)
    sys.modules['mmcv._ext'] = module
    if 'mmcv' in sys.modules:
        sys.modules['mmcv']._ext = module
    return True
