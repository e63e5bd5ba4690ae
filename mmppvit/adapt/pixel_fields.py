"""Fields of heads, assigners and RoI extractors that count pixels of the image.

Mixing with grid g is a resize by 1 / g, so all of them are divided by g. Most are written in the
config; some come from the defaults of a class, and those are what one forgets.
"""
from __future__ import annotations

import inspect
import math
from copy import deepcopy
from typing import Any

from mmdet.registry import TASK_UTILS

from mmppvit.adapt.config_changes import CannotAdapt, ConfigChanges, Path, walk_dicts
from mmppvit.adapt.scopes import class_of

__all__ = ['STRIDE_FIELDS', 'divide_pixels', 'divide_value']

# Cell sizes of maps: whole numbers of pixels.
STRIDE_FIELDS = ('strides', 'featmap_strides', 'point_strides', 'mask_stride', 'mask_out_stride')
# Sizes of objects, boxes and distances.
SIZE_FIELDS = ('regress_ranges', 'scale_ranges', 'finest_scale', 'base_edge_list', 'base_sizes',
               'centers', 'min_sizes', 'max_sizes', 'hm_min_radius', 'min_bbox_size',
               'bottom_pixels_removed')
WRITTEN_SIZES = ('ctr_clamp', )  # its default is not used by most who have it
FRACTION_FIELDS = ('seg_scale_factor', )  # cells per pixel: multiplied instead
WHY = 'Pixels of the mixed image: 1/{} of the usual ones.'
INFINITE = 1e7  # MMDetection's INF is 1e8 and means no limit


def divide_pixels(changes: ConfigChanges, root: Path, grid: int, strides: list[int]) -> None:
    """Divide every field below ``root`` by ``grid``.

    Args:
        changes (ConfigChanges): Of the config.
        root (Path): Where the detector is; its backbone and neck are left alone.
        grid (int): g.
        strides (list[int]): Those of the levels that the neck returns, in pixels of the plain
            image. Strides that are not whole powers of two, as SSD and YOLACT have for images
            of one size, become the nearest of these.

    Raises:
        CannotAdapt: A stride would no longer be a whole number of pixels.
    """
    skip = ('backbone', 'neck')
    for path, node in walk_dicts(changes.get(root), root, skip):
        _write_defaults(node)
        if 'SSDAnchorGenerator' in str(node.get('type')):
            _write_ssd_sizes(node)
        for field in STRIDE_FIELDS:
            if node.get(field) is not None:
                node[field] = _regular_strides(node[field], strides)
        if node.get('centers') is not None:
            node['centers'] = [(stride / 2, stride / 2) for stride in node['strides']]
        for field in (*STRIDE_FIELDS, *SIZE_FIELDS, *WRITTEN_SIZES, *FRACTION_FIELDS):
            value = node.get(field)
            if value in (None, 0, -1) or isinstance(value, (str, dict)):
                continue
            where = '.'.join(str(key) for key in (*path, field))
            new = divide_value(value, 1 / grid if field in FRACTION_FIELDS else grid,
                               where if field in STRIDE_FIELDS else '')
            changes.set((*path, field), new, WHY.format(grid))


def divide_value(value: Any, grid: float, whole: str = '') -> Any:
    """``value`` and the numbers in it divided by ``grid``; limits without end stay as they are.

    Args:
        value (Any): A number, or lists and tuples of numbers.
        grid (float): Divisor.
        whole (str): Name of a field whose numbers have to stay whole.

    Raises:
        CannotAdapt: One does not.
    """
    if isinstance(value, (list, tuple)):
        return type(value)(divide_value(item, grid, whole) for item in value)
    if value <= 0 or value >= INFINITE:
        return value
    new = value / grid
    if new == int(new):
        return int(new) if isinstance(value, int) or whole else new
    if whole:
        raise CannotAdapt(
            f'{whole} has a stride of {value} pixels, which is {new:g} in an image mixed with '
            f'grid {grid}: take a smaller grid, or drop the finest level from neck and heads')
    return new


def _regular_strides(value: Any, strides: list[int]) -> Any:
    """Strides of the maps that there are, for ones that only fit images of one size."""
    if isinstance(value, (list, tuple)) and any(
            isinstance(item, (int, float)) and not _is_power_of_two(item) for item in value):
        if len(value) == len(strides):
            return type(value)(strides)
        return type(value)(2**round(math.log2(item)) for item in value)
    return value


def _is_power_of_two(value: float) -> bool:
    return value > 0 and math.log2(value).is_integer()


def _write_defaults(node: dict) -> None:
    """Write the pixel-valued defaults of a node's class into it, where it says nothing."""
    found = class_of(node.get('type'))
    if found is None:
        return
    for name, default in _defaults(found).items():
        if name == 'strides' and 'point_strides' in _defaults(found):
            continue  # RepPoints inherits it and looks at the other one
        if name not in node and _has_pixels(name, default):
            node[name] = deepcopy(default)


def _defaults(cls: type) -> dict[str, Any]:
    """Defaults of all arguments that reach ``cls`` or, through ``**kwargs``, its bases."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if '__init__' not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        for parameter in parameters:
            if parameter.default is not inspect.Parameter.empty:
                found.setdefault(parameter.name, parameter.default)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def _has_pixels(name: str, default: Any) -> bool:
    if isinstance(default, dict):
        return any(field in default for field in (*STRIDE_FIELDS, *SIZE_FIELDS))
    return name in (*STRIDE_FIELDS, *SIZE_FIELDS, *FRACTION_FIELDS) and bool(default) \
        and default != -1


def _write_ssd_sizes(node: dict) -> None:
    """Write out what SSD computes from a plain ``input_size`` of 300 or 512 and no other."""
    if node.get('min_sizes') or node.get('max_sizes'):
        return
    sizes = TASK_UTILS.build(dict(node))
    node['min_sizes'] = [float(side) for side in sizes.base_sizes]
    node['max_sizes'] = [float(side * scale[1]**2) for side, scale in
                         zip(sizes.base_sizes, sizes.scales, strict=True)]
    node.pop('input_size', None)
    node.pop('basesize_ratio_range', None)
