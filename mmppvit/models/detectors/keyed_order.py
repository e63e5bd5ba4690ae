"""Detectors whose backbone sees shuffled patches, put back in order only after it."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from torch import Tensor, nn

__all__ = ['KeyedOrder', 'KeyedOrderMixin', 'restore_patch_order']

_REMEDY = ('give the key file to the LoadSealedImage or ShufflePatches step of the pipeline and '
           'pack with PackSealedInputs')


def restore_patch_order(x: Tensor, orders: Sequence[Tensor | np.ndarray],
                        grids: Sequence[tuple[int, int]]) -> Tensor:
    """Put the tokens of shuffled images back: ``plain[order[k]] = shuffled[k]``.

    Args:
        x (Tensor): (B, D, H, W), of any dtype. Cells outside of an image's grid, which come from
            the padding of the batch, stay where they are.
        orders (Sequence[Tensor | ndarray]): For each image a permutation of its h * w patches,
            counted row by row.
        grids (Sequence[tuple[int, int]]): For each image h and w, its patches per side.

    Returns:
        Tensor: (B, D, H, W).

    Raises:
        ValueError: An order is no permutation of its grid, or the grid is larger than the map.
    """
    if not len(x) == len(orders) == len(grids):
        raise ValueError(f'{len(x)} images, {len(orders)} orders and {len(grids)} grids: there '
                         'must be one order and one grid for each image')
    return _gather_cells(x, _source_cells(orders, grids, x.shape[2:]))


def _gather_cells(x: Tensor, sources: Tensor) -> Tensor:
    """(B, D, H, W) with cell n of image b taken from its cell ``sources[b, n]``."""
    index = sources.to(x.device)[:, None].expand(-1, x.shape[1], -1)
    return x.flatten(2).gather(2, index).view_as(x)


def _source_cells(orders: Sequence, grids: Sequence, shape: tuple[int, int]) -> Tensor:
    """(B, H * W) int64: for each cell of the map the one that its token is in now."""
    cells = torch.arange(shape[0] * shape[1]).view(*shape)
    sources = cells.flatten().repeat(len(orders), 1)
    for row, order, (h, w) in zip(sources, orders, grids, strict=True):
        if h > shape[0] or w > shape[1]:
            raise ValueError(f'a grid of {h}x{w} patches does not fit into a map of '
                             f'{shape[0]}x{shape[1]} cells')
        inside = cells[:h, :w].flatten()
        row[inside[_as_permutation(order, h, w)]] = inside
    return sources


def _as_permutation(order: Tensor | np.ndarray, h: int, w: int) -> Tensor:
    """(h * w,) int64 on the CPU, checked."""
    order = order.cpu() if isinstance(order, Tensor) else torch.tensor(order)
    if tuple(order.shape) != (h * w, ):
        raise ValueError(f'patch_order has shape {tuple(order.shape)}, but the image has '
                         f'{h}x{w} = {h * w} patches: nothing may resize, crop or pad it after '
                         'its patches were shuffled')
    if order.is_floating_point() or not torch.equal(order.sort().values.long(),
                                                    torch.arange(h * w)):
        raise ValueError(f'patch_order is no permutation of 0 to {h * w - 1}')
    return order.long()


class KeyedOrderMixin:
    """A detector that takes ``patch_order`` of its data samples back after the backbone.

    The backbone gets the shuffled images and never an order; a forward hook on it restores every
    map it returns, before neck and head see them. Parameters and their names are those of the
    detector without this class.
    """
    # Where each token of the current batch comes from, and the batch's cells per side.
    _sources: Tensor | None = None
    _grid: tuple[int, int] | None = None

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        backbone = getattr(self, 'backbone', None)
        if not isinstance(getattr(backbone, 'token_stride', None), int):
            raise TypeError(
                f'KeyedOrder needs a backbone without positions that names its token_stride, '
                f'such as PEViT; {type(backbone).__name__} does not')
        if not getattr(backbone, 'position_free', True):
            raise TypeError(
                f'KeyedOrder: {type(backbone).__name__} knows positions, so it must not see '
                'shuffled patches: use a detector with a PEViT')
        # A bound method and no closure: deepcopy (EMA) binds it to the copy.
        backbone.register_forward_hook(self._restore)

    def forward(self, inputs: Tensor, data_samples: list[DetDataSample] | None = None,
                mode: str = 'tensor'):
        """MMDetection's, on shuffled images.

        Args:
            inputs (Tensor): (B, C, H, W), or the maps themselves for ``TokenInput``.
            data_samples (list[DetDataSample]): With ``patch_order``, (N,) int64, and
                ``img_shape`` in their metainfo; needed in every mode.
            mode (str): 'loss', 'predict' or 'tensor'.

        Raises:
            ValueError: A data sample has no order, or one that does not fit its image.
        """
        with self._orders_of(inputs, data_samples):
            return super().forward(inputs, data_samples, mode)

    @contextmanager
    def _orders_of(self, inputs: Tensor, data_samples: list[DetDataSample] | None) -> Iterator:
        stride = self.backbone.token_stride
        orders = _orders(data_samples)
        grids = [_image_grid(sample.img_shape, stride) for sample in data_samples]
        try:
            self._grid = _batch_grid(inputs, stride)
            self._sources = _source_cells(orders, grids, self._grid)
            self._tell_grids(grids)
            yield
        finally:  # of no later batch, also after an error
            self._sources = self._grid = None
            self._tell_grids(None)

    def _tell_grids(self, grids: list[tuple[int, int]] | None) -> None:
        """A backbone that runs elsewhere leaves the batch's padding out."""
        if hasattr(self.backbone, 'expect_grids'):
            self.backbone.expect_grids(grids)

    def _restore(self, backbone: nn.Module, args: tuple, output):
        if self._sources is None:
            raise RuntimeError('the backbone of a keyed detector ran outside of its forward(), '
                               'where the patch order is unknown: call the detector itself')
        if isinstance(output, Tensor):
            return self._restore_map(output)
        return type(output)(self._restore_map(x) for x in output)

    def _restore_map(self, x: Tensor) -> Tensor:
        if tuple(x.shape[2:]) != self._grid:
            raise ValueError(
                f'the backbone returned a map of {x.shape[2]}x{x.shape[3]} cells for a batch of '
                f'{self._grid[0]}x{self._grid[1]} tokens: a keyed detector needs a backbone '
                'whose maps have one cell for each patch')
        return _gather_cells(x, self._sources)


def _orders(data_samples: list[DetDataSample] | None) -> list:
    """``patch_order`` of every data sample."""
    if data_samples is None:
        raise ValueError(f'a keyed detector cannot restore a batch without data samples: {_REMEDY}')
    orders = [sample.get('patch_order') for sample in data_samples]
    missing = sum(order is None for order in orders)
    if missing:
        raise ValueError(f'{missing} of the {len(orders)} images of this batch carry no '
                         f'patch_order, which a keyed detector needs: {_REMEDY}')
    return orders


def _image_grid(shape: tuple[int, ...], stride: int) -> tuple[int, int]:
    """Patches per side of an image before the batch's padding."""
    height, width = shape[:2]
    if height % stride or width % stride:
        raise ValueError(f'img_shape {height}x{width} is not a multiple of the stride {stride} of '
                         'the backbone: its patch_size and grid are not those of the images')
    return height // stride, width // stride


def _batch_grid(inputs: Tensor | Sequence[Tensor], stride: int) -> tuple[int, int]:
    """Cells per side of a batch of images, or of maps."""
    if isinstance(inputs, Tensor):
        return inputs.shape[-2] // stride, inputs.shape[-1] // stride
    return tuple(inputs[0].shape[-2:])


@cache
def _keyed_class(detector: type[BaseDetector]) -> type[BaseDetector]:
    return type(f'KeyedOrder{detector.__name__}', (KeyedOrderMixin, detector), {})


def _find(detector: str) -> type | None:
    """As the config's own scope has it."""
    with MODELS.switch_scope_and_registry(None) as registry:
        return registry.get(detector)


@MODELS.register_module()
def KeyedOrder(detector: str | type | None = None, **kwargs) -> BaseDetector:  # noqa: N802
    """A detector for shuffled images: ``model = dict(type='KeyedOrder', detector='ATSS')``.

    All other fields of the detector's config stay as they are, and checkpoints of the two
    interchange.

    Args:
        detector (str | type): A detector of MMDetection, ``'mmdet.ATSS'`` also, or of the project
            whose scope the config has.
        kwargs: The detector's own arguments.

    Raises:
        ValueError: There is no such detector.
    """
    found = _find(detector) if isinstance(detector, str) else detector
    if not isinstance(found, type) or not issubclass(found, BaseDetector):
        raise ValueError(f'KeyedOrder: detector {detector!r} is not a detector of MMDetection: '
                         "name the type of the config that this one inherits, e.g. 'ATSS'")
    return _keyed_class(found)(**kwargs)
