"""RoIAlign.

Bilinear sampling on a regular grid is separable: with ``Y`` (P, h) and ``X`` (Q, w) holding the
weights of a RoI's samples along either axis, averaged over each bin, a crop ``F`` (h, w, C) of the
feature map is pooled by ``Y F X^T``. The samples are at most one pixel apart when their number
adapts to the RoI, so reading the crop once costs a quarter of reading four neighbors for every
sample.
"""
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..torchvision_schemas import has_kernel
from .precision import exact, without_autocast

__all__ = ['roi_align_backward', 'roi_align_forward']

# Numbers that one chunk of RoIs may gather: 64 MiB in float32, or a single RoI.
CHUNK = 2**24
# RoIs whose crops round up to the same multiple are pooled together.
ROUND = 8
# Marks the cells of empty RoIs in argmax_y and argmax_x; lies outside of every feature map.
NOWHERE = -2.


class _Chunk(NamedTuple):
    """RoIs that are pooled together; ``S`` is 1, or the samples along a bin's side."""
    rois: Tensor  # (R, ) int64, which RoIs
    pixels: Tensor  # (R, h, w) int64, their crops as rows of the flattened feature map
    rows: Tensor  # (R, P * S, h) weights
    columns: Tensor  # (R, Q * S, w) weights
    y: Tensor  # (R, P, G) positions of the samples
    x: Tensor  # (R, Q, G)


@without_autocast
def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor,
                      argmax_x: Tensor, aligned_height: int, aligned_width: int,
                      spatial_scale: float, sampling_ratio: int, pool_mode: int,
                      aligned: bool) -> None:
    """``mmcv._ext.roi_align_forward``: pool each RoI to a fixed size.

    Samples more than one pixel outside of the map count as 0. A RoI without samples, of size 0 with
    ``aligned`` and an adaptive number of samples, gives 0.

    Args:
        input (Tensor): (B, C, H, W).
        rois (Tensor): (N, 5) image index and corners.
        output (Tensor): (N, C, P, Q), overwritten.
        argmax_y, argmax_x (Tensor): (N, C, P, Q) in max pooling, overwritten with the position of
            the largest sample; else empty.
        aligned_height, aligned_width (int): P and Q.
        spatial_scale (float): From the corners' frame to the map's.
        sampling_ratio (int): Samples along a bin's side; 0 takes about one per pixel.
        pool_mode (int): 0 for the largest sample, 1 for the mean.
        aligned (bool): Whether pixel centers lie at halves.
    """
    size = (aligned_height, aligned_width)
    if pool_mode == 1 and has_kernel('roi_align', input.device):
        features = exact(input)
        output.copy_(torch.ops.torchvision.roi_align(
            features, rois.to(features.dtype), spatial_scale, *size, sampling_ratio, aligned))
        return
    output.zero_()
    if pool_mode == 0:
        argmax_y.fill_(NOWHERE)
        argmax_x.fill_(NOWHERE)
    features = exact(input).permute(0, 2, 3, 1).reshape(-1, input.size(1))
    for chunk in _chunks(input.shape, rois, size, spatial_scale, sampling_ratio, aligned,
                         pool_mode == 0):
        cells = _pool(features, chunk)
        if pool_mode == 0:
            cells, y, x = _largest(cells, chunk)
            argmax_y[chunk.rois] = y.to(argmax_y.dtype)
            argmax_x[chunk.rois] = x.to(argmax_x.dtype)
        else:
            cells = cells.permute(0, 3, 1, 2)
        output[chunk.rois] = cells.to(output.dtype)


@without_autocast
def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor,
                       grad_input: Tensor, aligned_height: int, aligned_width: int,
                       spatial_scale: float, sampling_ratio: int, pool_mode: int,
                       aligned: bool) -> None:
    """``mmcv._ext.roi_align_backward``: overwrite ``grad_input`` (B, C, H, W), given
    ``grad_output`` (N, C, P, Q) and otherwise what the forward pass was given and wrote."""
    size = (aligned_height, aligned_width)
    grad = exact(grad_output)
    if pool_mode == 0:
        grad_input.copy_(_scatter_largest(grad, rois, argmax_y, argmax_x, grad_input.shape))
        return
    if has_kernel('_roi_align_backward', grad.device):
        grad_input.copy_(torch.ops.torchvision._roi_align_backward(
            grad, rois.to(grad.dtype), spatial_scale, *size, *grad_input.shape, sampling_ratio,
            aligned))
        return
    batch, channels, height, width = grad_input.shape
    total = grad.new_zeros(batch * height * width, channels)
    for chunk in _chunks(grad_input.shape, rois, size, spatial_scale, sampling_ratio, aligned):
        _add_crops(total, grad[chunk.rois].permute(0, 2, 3, 1), chunk)
    grad_input.copy_(total.view(batch, height, width, channels).permute(0, 3, 1, 2))


def _chunks(shape: tuple[int, ...], rois: Tensor, size: tuple[int, int], spatial_scale: float,
            sampling_ratio: int, aligned: bool, per_sample: bool = False) -> Iterator[_Chunk]:
    """Group RoIs with equal grids and crops of similar size, and bound what each group gathers."""
    _, channels, height, width = shape
    rois = exact(rois)
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.)
    start = corners[:, [1, 0]]
    extent = corners[:, [3, 2]] - start
    if not aligned:
        extent = extent.clamp(min=1)
    bins = extent / extent.new_tensor(size)
    grid = torch.full_like(bins, sampling_ratio) if sampling_ratio > 0 else bins.ceil()
    first, length = _crops(start, bins, grid, size, (height, width))
    keys = torch.cat([grid, length], 1).nan_to_num(0)
    groups, member = torch.unique(keys, dim=0, return_inverse=True)
    for number, (grid_y, grid_x, h, w) in enumerate(groups.long().tolist()):
        if grid_y <= 0 or grid_x <= 0:
            continue
        samples = size[0] * grid_y * size[1] * grid_x if per_sample else 0
        each = channels * max(h * w, samples)
        for ids in (member == number).nonzero()[:, 0].split(max(CHUNK // each, 1)):
            axes = [
                _axis(start[ids, i], bins[ids, i], first[ids, i], g, size[i], crop, full,
                      per_sample)
                for i, g, crop, full in ((0, grid_y, h, height), (1, grid_x, w, width))]
            (rows, y, weight_y), (columns, x, weight_x) = axes
            rows = rows + rois[ids, :1].long() * height
            yield _Chunk(ids, rows[:, :, None] * width + columns[:, None], weight_y, weight_x, y, x)


def _crops(start: Tensor, bins: Tensor, grid: Tensor, size: tuple[int, int],
           full: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The first pixel that a RoI's samples touch and how many, rounded up, both (N, 2)."""
    last_bin, last_pixel = start.new_tensor(size) - 1, start.new_tensor(full) - 1
    ends = torch.stack([_position(start, bins, grid, 0, 0),
                        _position(start, bins, grid, last_bin, grid - 1)])
    ends = torch.minimum(ends.nan_to_num(0).clamp(min=0), last_pixel)
    first = ends.amin(0).floor()
    length = torch.minimum(ends.amax(0).floor() + 1, last_pixel) - first + 1
    return first, (length / ROUND).ceil() * ROUND


def _position(start, bins, grid, cell, sample):
    return start + cell * bins + (sample + 0.5) * bins / grid


def _axis(start: Tensor, bins: Tensor, first: Tensor, grid: int, cells: int, crop: int, full: int,
          per_sample: bool) -> tuple[Tensor, Tensor, Tensor]:
    """One axis of R RoIs.

    Returns:
        tuple: (R, h) int64 pixels of the crop; (R, P, G) positions of the samples; (R, P, h)
        weights of the pixels in each bin, or (R, P * G, h) in each sample.
    """
    pixels = first[:, None] + torch.arange(crop, device=first.device)
    position = _position(
        start[:, None, None], bins[:, None, None], grid,
        torch.arange(cells, device=first.device)[:, None], torch.arange(grid, device=first.device))
    inside = (position >= -1) & (position <= full)
    clamped = position.nan_to_num(0).clamp(0, full - 1)
    # The weight of linear interpolation falls from 1 at a pixel to 0 at its neighbors.
    weights = (1 - (clamped[..., None] - pixels[:, None, None]).abs()).clamp_(min=0)
    weights *= inside[..., None]
    weights = weights.flatten(1, 2) if per_sample else weights.mean(2)
    return pixels.clamp(max=full - 1).long(), position, weights


def _pool(features: Tensor, chunk: _Chunk) -> Tensor:
    """(B*H*W, C) -> (R, P * S, Q * S, C)."""
    count, h, w = chunk.pixels.shape
    crops = features.index_select(0, chunk.pixels.flatten()).view(count, h, -1)
    rows = torch.bmm(chunk.rows, crops).view(count, chunk.rows.size(1), w, -1)
    return chunk.columns[:, None] @ rows


def _add_crops(total: Tensor, grad: Tensor, chunk: _Chunk) -> None:
    """Add the transpose of :func:`_pool` of ``grad`` (R, P, Q, C) to ``total`` (B*H*W, C)."""
    rows = chunk.columns.transpose(1, 2)[:, None] @ grad
    crops = torch.bmm(chunk.rows.transpose(1, 2), rows.flatten(2))
    total.index_add_(0, chunk.pixels.flatten(), crops.view(-1, total.size(1)))


def _largest(samples: Tensor, chunk: _Chunk) -> tuple[Tensor, Tensor, Tensor]:
    """(R, P * G, Q * G, C) -> the largest of each bin, its y and its x, each (R, C, P, Q)."""
    (count, high, grid_y), (_, wide, grid_x) = chunk.y.shape, chunk.x.shape
    samples = samples.view(count, high, grid_y, wide, grid_x, -1).permute(0, 5, 1, 3, 2, 4)
    values, index = samples.flatten(4).max(-1)
    y = chunk.y[:, None, :, None].expand(*index.shape, -1)
    x = chunk.x[:, None, None].expand(*index.shape, -1)
    return (values, y.gather(-1, (index // grid_x)[..., None])[..., 0],
            x.gather(-1, (index % grid_x)[..., None])[..., 0])


def _scatter_largest(grad: Tensor, rois: Tensor, y: Tensor, x: Tensor,
                     shape: tuple[int, ...]) -> Tensor:
    """Hand each cell's gradient to the four neighbors of its largest sample."""
    _, channels, height, width = shape
    total = grad.new_zeros(shape).flatten()
    y, x = y.to(grad.dtype), x.to(grad.dtype)
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    plane = (rois[:, :1].long() * channels + torch.arange(channels, device=grad.device))
    plane = plane[:, :, None, None] * (height * width)
    for dy in (0, 1):
        row = (y.floor() + dy).clamp(max=height - 1)
        share_y = y - y.floor() if dy else 1 - (y - y.floor())
        for dx in (0, 1):
            column = (x.floor() + dx).clamp(max=width - 1)
            share = share_y * (x - x.floor() if dx else 1 - (x - x.floor()))
            index = plane + (row * width + column).long()
            total.index_add_(0, index.flatten(), (grad * share * inside).flatten())
    return total.view(shape)
