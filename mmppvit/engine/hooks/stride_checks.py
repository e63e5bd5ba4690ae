"""Strides that modules are configured with, against the maps that they get."""
from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median

import torch
from torch import nn

__all__ = ['SIZE_RATIOS', 'MapChecks']

# Pixels per stride of MMDetection's own configs: (field, which number of a level, ratio). What was
# divided at one place only is off by a factor of two or more.
SIZE_RATIOS = {
    'regress_ranges': (lambda levels: [upper for _, upper in levels], 8.),
    'base_edge_list': (list, 2.),
    'scale_ranges': (lambda levels: [upper for _, upper in levels], 8.),
}
RATIO_BY_CLASS = {  # where MMDetection's own is another
    ('regress_ranges', 'CenterNetUpdateHead'): 10.,
    # 14 to 24 in its configs
    **{('scale_ranges', name): 18. for name in (
        'SOLOHead', 'SOLOV2Head', 'DecoupledSOLOHead', 'DecoupledSOLOLightHead')},
}
MARGIN = 1.45  # of the ratios above; forgetting to divide doubles them at least
FINEST_SCALE_RATIOS = (7., 14.)  # finest_scale 56 for a first stride of 8 or 4
INFINITE = 1e7
GENERATORS = ('prior_generator', 'anchor_generator', 'approx_anchor_generator',
              'square_anchor_generator', 'point_generator')


class MapChecks:
    """Hooks on the modules of a detector that compare strides in its next forward pass.

    Args:
        model (nn.Module): The detector.
        ignore (set[str]): Fields not to be checked.

    Attributes:
        images (Tensor | None): What the backbone got.
    """

    def __init__(self, model: nn.Module, ignore: set[str] = frozenset()) -> None:
        self.model = model
        self.ignore = ignore
        self.images: torch.Tensor | None = None

    def register(self) -> list:
        """Attach; returns the handles that remove it all."""
        handles = []
        for name, module in self.model.named_modules():
            if name.rsplit('.', 1)[-1] == 'backbone':
                handles.append(module.register_forward_pre_hook(self._see_images))
            for field, strides in reckoned_strides(module, self.ignore):
                handles.append(module.register_forward_pre_hook(
                    self._check(name, field, strides), with_kwargs=True))
        return handles

    def _see_images(self, module: nn.Module, args: tuple) -> None:
        if args and isinstance(args[0], torch.Tensor) and args[0].ndim == 4:
            self.images = args[0]

    def _check(self, name: str, field: str, strides: list[float]) -> Callable:
        def compare(module: nn.Module, args: tuple, kwargs: dict) -> None:
            maps = _maps((*args, *kwargs.values()))
            if self.images is None or not maps:
                return
            shape = tuple(self.images.shape[2:])
            maps = _as_head_sees(module, maps)
            compare_strides(f'model.{name}.{field}', strides, maps, shape)
            self._check_sizes(name, module)
        return compare

    def _check_sizes(self, name: str, module: nn.Module) -> None:
        strides = next((strides for field, strides in reckoned_strides(module, set())), None)
        if not strides:
            return
        for field, (numbers, ratio) in SIZE_RATIOS.items():
            value = getattr(module, field, None)
            if value is None or field in self.ignore:
                continue
            ratio = RATIO_BY_CLASS.get((field, type(module).__name__), ratio)
            pairs = [(size, stride) for size, stride in zip(numbers(value), strides, strict=False)
                     if 0 < size < INFINITE]
            _compare_ratio(f'model.{name}.{field}', value,
                           median(size / stride for size, stride in pairs), (ratio, ), strides)
        finest = getattr(module, 'finest_scale', None)
        if finest and len(strides) > 1 and 'finest_scale' not in self.ignore:
            _compare_ratio(f'model.{name}.finest_scale', finest, finest / strides[0],
                           FINEST_SCALE_RATIOS, strides)


def reckoned_strides(module: nn.Module, ignore: set[str]) -> list[tuple[str, list[float]]]:
    """(field, strides) of whatever a module is configured with."""
    found = []
    if 'MaskHead' in type(module).__name__:  # CondInst's takes the levels that it needs itself
        return found
    points = hasattr(module, 'point_strides')  # RepPoints has strides as well and never looks
    for field in ('point_strides', ) if points else ('strides', 'featmap_strides'):
        value = getattr(module, field, None)
        if _is_head(module) and isinstance(value, (list, tuple)) and field not in ignore:
            found.append((field, [_one(stride) for stride in value]))
    for field in () if found else GENERATORS:
        value = getattr(getattr(module, field, None), 'strides', None)
        if value is not None and 'strides' not in ignore:
            field = 'anchor_generator' if field == 'prior_generator' else field
            found.append((f'{field}.strides', [_one(stride) for stride in value]))
    return found


def _is_head(module: nn.Module) -> bool:
    """Backbones and pixel decoders have strides of another meaning."""
    return 'Head' in type(module).__name__ or 'RoIExtractor' in type(module).__name__


def _one(stride) -> float:
    return float(stride[0] if isinstance(stride, (list, tuple)) else stride)


def _maps(values: tuple) -> list[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor) and value.ndim == 4:
            return [value]
        if isinstance(value, (list, tuple)) and value and all(
                isinstance(x, torch.Tensor) and x.ndim == 4 for x in value):
            return list(value)
    return []


def _as_head_sees(module: nn.Module, maps: list[torch.Tensor]) -> list[tuple[int, int]]:
    """Shapes of maps, for SOLO after the resizing that it begins with."""
    shapes = [tuple(x.shape[-2:]) for x in maps]
    if hasattr(module, 'resize_feats') and len(shapes) > 2:
        shapes[0] = tuple(side // 2 for side in shapes[0])
        shapes[-1] = shapes[-2]
    return shapes


def compare_strides(field: str, strides: list[float], shapes: list[tuple[int, int]],
                    image: tuple[int, int]) -> None:
    """Raise ValueError unless each map has as many cells as its stride says.

    Args:
        field (str): What to change.
        strides (list[float]): In pixels of the image.
        shapes (list[tuple]): (H, W) of each map in cells.
        image (tuple): (H, W) of the batch in pixels.
    """
    real = [_stride_of(shape, image) for shape in shapes]
    if len(strides) != len(shapes):
        raise ValueError(f'{field} has {len(strides)} strides, {_text(strides)}, and gets '
                         f'{len(shapes)} maps, of strides {_text(real)}: set it to these')
    for stride, shape in zip(strides, shapes, strict=True):
        if any(abs(side / stride - cells) > max(1, .25 * cells)
               for side, cells in zip(image, shape, strict=True)):
            raise ValueError(
                f'{field} is {_text(strides)} and the maps that it is for have strides '
                f'{_text(real)} ({shape[0]}x{shape[1]} cells where {image[0]}x{image[1]} pixels '
                f'at stride {stride:g} have {image[0] / stride:g}x{image[1] / stride:g}): set it '
                f'to {_text(real)}. Strides count pixels of the encrypted image')


def _stride_of(shape: tuple[int, int], image: tuple[int, int]) -> float:
    """Power of two next to pixels per cell."""
    stride = max(side / cells for side, cells in zip(image, shape, strict=True))
    return float(2**round(math.log2(stride))) if stride > 0 else 0.


def _compare_ratio(field: str, value, ratio: float, usual: tuple[float, ...],
                   strides: list[float]) -> None:
    if min(usual) / MARGIN < ratio < max(usual) * MARGIN:
        return
    raise ValueError(
        f'{field} is {value} with strides {_text(strides)}: {ratio:.3g} pixels per stride, where '
        f'MMDetection has {usual[-1]:g}. Both count pixels of the encrypted image: multiply it by '
        f'{usual[-1] / ratio:.3g}, or name it in StrideGuardHook(ignore=...) if it is meant so')


def _text(values: list[float]) -> str:
    return str([int(value) if value == int(value) else round(value, 2) for value in values])
