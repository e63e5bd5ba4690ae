"""Multi-scale deformable attention, which Deformable DETR and DINO run on the GPU.

One level is sampled at a time and added up, so that the sampled values of a single level are all
that is held in memory. The backward pass samples again.
"""
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from .precision import exact, without_autocast

__all__ = ['ms_deform_attn_backward', 'ms_deform_attn_forward']


@without_autocast
def ms_deform_attn_forward(value: Tensor, value_spatial_shapes: Tensor,
                           value_level_start_index: Tensor, sampling_locations: Tensor,
                           attention_weights: Tensor, im2col_step: int) -> Tensor:
    """Sum sampled values with attention weights.

    Args:
        value (Tensor): (B, K, heads, D) values of all levels, one after the other.
        value_spatial_shapes (Tensor): (L, 2) int64 height and width of the levels.
        value_level_start_index (Tensor): (L, ) int64 first key of each level.
        sampling_locations (Tensor): (B, Q, heads, L, P, 2) x and y; [0, 1] spans the level, and
            the values outside count as 0.
        attention_weights (Tensor): (B, Q, heads, L, P).
        im2col_step (int): The batch of the CUDA kernel; has no effect here.

    Returns:
        Tensor: (B, Q, heads * D), of the dtype of ``value``.
    """
    levels = _levels(value_spatial_shapes, value_level_start_index)
    output = sum(
        _attend(exact(value[:, keys]), size, exact(sampling_locations[:, :, :, level]),
                exact(attention_weights[:, :, :, level])) for level, keys, size in levels)
    return output.to(value.dtype)


@without_autocast
def ms_deform_attn_backward(value: Tensor, value_spatial_shapes: Tensor,
                            value_level_start_index: Tensor, sampling_locations: Tensor,
                            attention_weights: Tensor, grad_output: Tensor, grad_value: Tensor,
                            grad_sampling_loc: Tensor, grad_attn_weight: Tensor,
                            im2col_step: int) -> None:
    """Write the gradients of :func:`ms_deform_attn_forward`.

    Args:
        grad_output (Tensor): (B, Q, heads * D).
        grad_value, grad_sampling_loc, grad_attn_weight (Tensor): Shaped like ``value``,
            ``sampling_locations`` and ``attention_weights``; overwritten.
    """
    grad_output = exact(grad_output)
    for level, keys, size in _levels(value_spatial_shapes, value_level_start_index):
        inputs = [exact(t).detach().requires_grad_() for t in (
            value[:, keys], sampling_locations[:, :, :, level], attention_weights[:, :, :, level])]
        with torch.enable_grad():
            output = _attend(inputs[0], size, inputs[1], inputs[2])
        grads = torch.autograd.grad(output, inputs, grad_output)
        grad_value[:, keys] = grads[0].to(grad_value.dtype)
        grad_sampling_loc[:, :, :, level] = grads[1].to(grad_sampling_loc.dtype)
        grad_attn_weight[:, :, :, level] = grads[2].to(grad_attn_weight.dtype)


def _levels(shapes: Tensor, starts: Tensor) -> Iterator[tuple[int, slice, tuple[int, int]]]:
    """Yield each level's number, its keys and its (height, width)."""
    for level, ((h, w), start) in enumerate(zip(shapes.tolist(), starts.tolist(), strict=True)):
        yield level, slice(start, start + h * w), (h, w)


def _attend(value: Tensor, size: tuple[int, int], locations: Tensor, weights: Tensor) -> Tensor:
    """(B, h*w, heads, D), (B, Q, heads, P, 2), (B, Q, heads, P) -> (B, Q, heads * D)."""
    batch, _, heads, channels = value.shape
    grid = (2 * locations - 1).transpose(1, 2).flatten(0, 1)
    sampled = grid_sample(
        value.permute(0, 2, 3, 1).reshape(batch * heads, channels, *size),
        grid, mode='bilinear', padding_mode='zeros', align_corners=False)
    weights = weights.transpose(1, 2).flatten(0, 1).unsqueeze(1)
    output = (sampled * weights).sum(-1)
    return output.reshape(batch, heads * channels, -1).transpose(1, 2)
