"""What a backbone from the other party may be: data that is checked, not a config that is built."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from mmdet.models import DetDataPreprocessor
from torch import Tensor

from mmppvit.models.backbones import PEViT
from mmppvit.models.checkpoints import differences
from mmppvit.two_party.messages import ProtocolError, fields

__all__ = ['build_backbone', 'build_preprocessor', 'check_backbone', 'check_dataset_meta',
           'check_preprocessor']

_NONE = type(None)
_BACKBONE = dict(
    arch=(str, dict, _NONE), patch_size=(int, _NONE), grid=(int, _NONE), in_channels=(int, _NONE),
    nonlinear_embed=(bool, _NONE), reference_encoding=(bool, _NONE),
    out_indices=(int, list, _NONE), drop_path_rate=(int, float, _NONE),
    frozen_stages=(int, _NONE), with_cp=(bool, _NONE), final_norm=(bool, _NONE),
    num_points=(int, _NONE), class_token=(bool, _NONE))
_ARCH = dict(embed_dims=(int, ), num_layers=(int, ), num_heads=(int, ),
             mlp_ratio=(int, float, _NONE))
_PREPROCESSOR = dict(
    mean=(list, _NONE), std=(list, _NONE), bgr_to_rgb=(bool, _NONE), rgb_to_bgr=(bool, _NONE),
    pad_size_divisor=(int, _NONE), pad_value=(int, float, _NONE))
_LIMITS = dict(embed_dims=4096, num_layers=128, num_heads=128, mlp_ratio=16, patch_size=128,
               grid=64, in_channels=16, num_points=4096, pad_size_divisor=1024)
_MAX_NUMBER = 1e9  # and so neither NaN nor infinite
_MAX_PARAMETERS = 2**30  # ViT-g has as many; 4 GiB
_DATASET_META = dict(classes=(list, tuple, _NONE), palette=(list, tuple, _NONE))


def check_backbone(spec: object) -> dict:
    """``spec`` as arguments of :class:`PEViT`, if it is nothing else.

    Raises:
        ProtocolError: It has other keys, types or sizes.
    """
    spec = _plain(spec)
    fields(spec, _BACKBONE, 'the backbone')
    arch = spec.get('arch')
    if isinstance(arch, dict):
        fields(arch, _ARCH, 'arch')
        _check_limits(arch)
    _check_limits(spec)
    if isinstance(spec.get('out_indices'), list):
        _numbers(spec['out_indices'], 'out_indices', (int, ))
    if not 0 <= (spec.get('drop_path_rate') or 0) < 1:
        raise ProtocolError(f'drop_path_rate is {spec["drop_path_rate"]}')
    return spec


def build_backbone(spec: object, weights: Mapping[str, Tensor] | None = None) -> PEViT:
    """The backbone of a spec that may come from a hostile party.

    A few bytes may ask for one that no machine can hold, so it is built without memory first.

    Args:
        spec (object): Arguments of :class:`PEViT`.
        weights (Mapping, optional): Its weights; the backbone gets them.

    Raises:
        ProtocolError: It cannot be one, has more than 2**30 parameters, or the weights are not
            those of it.
    """
    spec = check_backbone(spec)
    try:
        with torch.device('meta'):
            outline = PEViT(**spec)
    except (TypeError, ValueError) as err:
        raise ProtocolError(f'the backbone cannot be built: {err}') from None
    count = sum(p.numel() for p in outline.parameters())
    if count > _MAX_PARAMETERS:
        raise ProtocolError(f'a backbone of {count} parameters is more than {_MAX_PARAMETERS}')
    if weights is None:
        return PEViT(**spec)
    problems = differences(weights, outline)
    if problems:
        raise ProtocolError('it does not fit: ' + '\n  '.join(problems))
    backbone = PEViT(**spec)
    backbone.load_state_dict(weights)
    return backbone


def check_preprocessor(spec: object) -> dict:
    """``spec`` as normalization and padding, if it is nothing else.

    Raises:
        ProtocolError: It has other keys, types or sizes.
    """
    spec = _plain(spec)
    fields(spec, _PREPROCESSOR, 'the preprocessor')
    for name in ('mean', 'std'):
        if spec.get(name) is not None:
            _numbers(spec[name], name, (int, float))
    if any(value <= 0 for value in spec.get('std') or ()):
        raise ProtocolError('std has values that are not positive')
    if not abs(spec.get('pad_value') or 0) <= _MAX_NUMBER:
        raise ProtocolError('pad_value is no usable number')
    _check_limits(spec)
    return spec


def check_dataset_meta(meta: object) -> dict:
    """``meta`` as ``classes`` and ``palette``, if it is nothing else.

    Raises:
        ProtocolError: It has other keys or types.
    """
    fields(meta, _DATASET_META, 'dataset_meta')
    if any(not isinstance(name, str) for name in meta.get('classes') or ()):
        raise ProtocolError('dataset_meta.classes has other things than names')
    return meta


def build_preprocessor(spec: object) -> DetDataPreprocessor:
    """MMDetection's preprocessor of a spec that may come from a hostile party.

    Raises:
        ProtocolError: It cannot be one.
    """
    try:
        return DetDataPreprocessor(**check_preprocessor(spec))
    except ProtocolError:
        raise
    except (AssertionError, TypeError, ValueError) as err:
        raise ProtocolError(f'the preprocessor cannot be built: {err}') from None


def _plain(node: object) -> object:
    """Tuples and config dicts as JSON would have them; fields that say nothing are left out."""
    if isinstance(node, Mapping):
        return {k: _plain(v) for k, v in node.items() if v is not None}
    if isinstance(node, (list, tuple)):
        return [_plain(v) for v in node]
    return node


def _check_limits(spec: dict) -> None:
    for key, limit in _LIMITS.items():
        if key in spec and not 0 < spec[key] <= limit:
            raise ProtocolError(f'{key} is {spec[key]} and must lie in 1 to {limit}')


def _numbers(values: list, name: str, types: tuple) -> None:
    if not 0 < len(values) <= 128 or any(
            isinstance(x, bool) or not isinstance(x, types) or not abs(x) <= _MAX_NUMBER
            for x in values):
        raise ProtocolError(f'{name} is no list of 1 to 128 numbers')
