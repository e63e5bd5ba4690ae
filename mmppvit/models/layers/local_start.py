"""A start for detection tokens that learn from scratch: each looks at its own part of the image."""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ['spread_places', 'start_local', 'wave_positions']

_WAVELENGTHS = 4., 42.  # patches; longer ones see no difference between neighbors
_SCALE = .5  # of the waves: about the size that embedded patches have
_GAIN = 1.2  # of queries and keys: most attention stays within two patches


def wave_positions(places: Tensor, dims: int) -> Tensor:
    """Sines and cosines of rows and columns.

    Args:
        places (Tensor): (N, 2), row and column in patches.
        dims (int): D, a multiple of 4.

    Returns:
        Tensor: (N, D). The product of two rows falls with the distance between their places.
    """
    shortest, longest = (math.log(2 * math.pi / length) for length in _WAVELENGTHS)
    waves = torch.linspace(longest, shortest, dims // 4).exp()
    angles = (places[:, :, None] * waves).flatten(1)
    return torch.cat((angles.sin(), angles.cos()), dim=1)


def spread_places(count: int, cells: tuple[int, int]) -> Tensor:
    """``count`` places, evenly spread over a grid of ``cells`` patches, row by row.

    Args:
        count (int): Of the places, at least 1.
        cells (tuple[int, int]): Rows and columns of the grid.

    Returns:
        Tensor: (count, 2), row and column in patches, (.5, .5) the middle of the first.
    """
    height, width = cells
    columns = max(1, round((count * width / height)**.5))
    rows = -(-count // columns)
    index = torch.arange(count)
    row, column = index // columns, index % columns
    in_row = torch.where(row < rows - 1, columns, count - columns * (rows - 1))
    return torch.stack(((row + .5) * height / rows, (column + .5) * width / in_row), dim=1)


@torch.no_grad()
def start_local(pos_embed: Tensor, det_token: Tensor, blocks: nn.ModuleList,
                cells: tuple[int, int]) -> None:
    """Initialize so that attention falls with distance and detection tokens have places.

    Positions are waves, detection tokens start as the positions of places spread over the image
    and nothing else, and queries equal keys. Without it detection tokens attend to all patches
    alike at first, learn one arrangement of boxes for all images, and take very long to leave it.

    Args:
        pos_embed (Tensor): (1, 1 + N + Q, D), changed in place.
        det_token (Tensor): (1, Q, D), changed in place.
        blocks (ModuleList): timm's, whose ``attn.qkv`` and other matrices are changed in place.
        cells (tuple[int, int]): Rows and columns of the N patches.
    """
    dims, count = det_token.shape[2], det_token.shape[1]
    if dims % 4:
        raise ValueError(f'positions of waves need embed_dims in multiples of 4, got {dims}')
    patches = torch.cartesian_prod(*(torch.arange(side) + .5 for side in cells))
    places = torch.cat((patches, spread_places(count, cells)))
    pos_embed[0, 1:] = _SCALE * wave_positions(places, dims)
    det_token.zero_()
    for block in blocks:
        weight = block.attn.qkv.weight
        weight[:dims] = _GAIN * nn.init.orthogonal_(torch.empty(dims, dims))
        weight[dims:2 * dims] = weight[:dims]
        nn.init.xavier_uniform_(weight[2 * dims:])
        for layer in (block.attn.proj, block.mlp.fc1, block.mlp.fc2):
            nn.init.xavier_uniform_(layer.weight)
