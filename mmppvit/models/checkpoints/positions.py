"""Tables of positions: one row a patch, with rows of other tokens before and after."""
from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ['draw_rows', 'infer_cells', 'resize_rows', 'split_table']

# Rows and columns of the tables that YOLOS was released with (its README): tiny 800x1333, small
# 512x864, base 800x1344, in patches of 16. Their numbers of patches are no squares.
_RELEASED = {50 * 83: (50, 83), 32 * 54: (32, 54), 50 * 84: (50, 84)}
_SEED = 0
_MOST_OTHERS = 8  # a class token, a distillation token, registers


def infer_cells(rows: int, patch_size: int, size: tuple[int, int] | None,
                option: str = '--init-size') -> tuple[int, int]:
    """Rows and columns of a table of ``rows`` patches.

    Args:
        rows (int): Number of patches.
        patch_size (int): Of the model that the table is from.
        size (tuple[int, int], optional): Height and width of its image. None: a square, or the
            table of a released YOLOS.
        option (str): Where the user can give ``size``.

    Raises:
        ValueError: The table is not of ``size``, or that cannot be inferred.
    """
    if size is not None:
        cells = size[0] // patch_size, size[1] // patch_size
        if cells[0] * cells[1] != rows:
            raise ValueError(f'an image of {size[0]}x{size[1]} has {cells[0]}x{cells[1]} patches '
                             f'of {patch_size}, and the table has {rows}: correct {option} H W')
        return cells
    if math.isqrt(rows)**2 == rows:
        return math.isqrt(rows), math.isqrt(rows)
    if patch_size == 16 and rows in _RELEASED:
        return _RELEASED[rows]
    raise ValueError(f'height and width of a table of {rows} patches cannot be inferred: give the '
                     f'size of the image that it is for, {option} H W')


def split_table(table: Tensor) -> tuple[Tensor, Tensor]:
    """Positions (1, K + n * n, D) of a ViT -> those of K other tokens and those of the patches.

    Raises:
        ValueError: They are not those of square images.
    """
    lead = table.shape[1] - math.isqrt(table.shape[1])**2
    if lead > _MOST_OTHERS:
        raise ValueError(f'a table of {table.shape[1]} positions is not that of square images')
    return table[:, :lead], table[:, lead:]


def resize_rows(table: Tensor, cells: tuple[int, int], to: tuple[int, int]) -> Tensor:
    """(T, h * w, D) -> (T, h2 * w2, D), bicubic with ``align_corners=False``; in float32."""
    if cells == to:
        return table
    maps = table.transpose(1, 2).unflatten(2, cells).float()
    resized = functional.interpolate(maps, to, mode='bicubic', align_corners=False)
    return resized.flatten(2).transpose(1, 2).to(table.dtype)


def draw_rows(count: int, dims: int) -> Tensor:
    """(1, count, dims) from a normal distribution of 0.02, truncated, always the same."""
    rows = torch.empty(1, count, dims)
    generator = torch.Generator().manual_seed(_SEED)
    return torch.nn.init.trunc_normal_(rows, std=.02, generator=generator)
