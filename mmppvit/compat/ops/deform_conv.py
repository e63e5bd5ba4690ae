"""Deformable convolutions, versions 1 and 2 (Dai et al. 2017, Zhu et al. 2019).

Each tap of the kernel is sampled by itself, so that no more than one sampled map is held. The
backward pass samples again.
"""
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from .precision import exact, without_autocast

__all__ = ['deform_conv_backward_input', 'deform_conv_backward_parameters', 'deform_conv_forward',
           'modulated_deform_conv_backward', 'modulated_deform_conv_forward', 'plain_deform_conv']


@without_autocast
def deform_conv_forward(input: Tensor, weight: Tensor, offset: Tensor, output: Tensor,
                        columns: Tensor, ones: Tensor, kW: int, kH: int,  # noqa: N803
                        im2col_step: int, **sizes) -> None:
    """Write the convolution whose taps are moved by ``offset``.

    Args:
        input (Tensor): (B, C, H, W).
        weight (Tensor): (D, C / groups, kH, kW).
        offset (Tensor): (B, G * kH * kW * 2, P, Q), y before x, in pixels.
        output (Tensor): (B, D, P, Q), overwritten.
        columns, ones (Tensor), im2col_step (int): Room for the CUDA kernel; have no effect here.
        **sizes (int): dH, dW, padH, padW, dilationH, dilationW, group and deformable_group.
    """
    output.copy_(_convolution(**_v1(sizes))(exact(input), exact(offset), None, exact(weight)))


@without_autocast
def deform_conv_backward_input(input: Tensor, offset: Tensor, grad_output: Tensor,
                               grad_input: Tensor, grad_offset: Tensor, weight: Tensor,
                               columns: Tensor, kW: int, kH: int,  # noqa: N803
                               im2col_step: int, **sizes) -> None:
    """Overwrite ``grad_input`` and ``grad_offset``, shaped like ``input`` and ``offset``."""
    grads = _gradients(_convolution(**_v1(sizes)), (input, offset, None, weight), grad_output)
    grad_input.copy_(grads[0])
    grad_offset.copy_(grads[1])


@without_autocast
def deform_conv_backward_parameters(input: Tensor, offset: Tensor, grad_output: Tensor,
                                    grad_weight: Tensor, columns: Tensor, ones: Tensor,
                                    kW: int, kH: int, scale: float,  # noqa: N803
                                    im2col_step: int, **sizes) -> None:
    """Overwrite ``grad_weight`` with ``scale`` times the gradient of the weights."""
    weight = grad_weight.detach()  # the gradient of a linear map does not depend on its value
    grads = _gradients(_convolution(**_v1(sizes)), (input, offset, None, weight), grad_output)
    grad_weight.copy_(scale * grads[3])


@without_autocast
def modulated_deform_conv_forward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                  offset: Tensor, mask: Tensor, output: Tensor, columns: Tensor,
                                  kernel_h: int, kernel_w: int, with_bias: bool, **sizes) -> None:
    """:func:`deform_conv_forward` with a factor for each tap, ``mask`` (B, G * kH * kW, P, Q)."""
    result = _convolution(**_v2(sizes))(*map(exact, (input, offset, mask, weight)))
    output.copy_(result + bias[:, None, None] if with_bias else result)


@without_autocast
def modulated_deform_conv_backward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                   offset: Tensor, mask: Tensor, columns: Tensor,
                                   grad_input: Tensor, grad_weight: Tensor, grad_bias: Tensor,
                                   grad_offset: Tensor, grad_mask: Tensor, grad_output: Tensor,
                                   kernel_h: int, kernel_w: int, with_bias: bool, **sizes) -> None:
    """Overwrite the gradients, each shaped like what it is named after."""
    grads = _gradients(_convolution(**_v2(sizes)), (input, offset, mask, weight), grad_output)
    for place, grad in zip((grad_input, grad_offset, grad_mask, grad_weight), grads, strict=True):
        place.copy_(grad)
    if with_bias:
        grad_bias.copy_(grad_output.sum((0, 2, 3)))


def _v1(sizes: dict) -> dict:
    names = dict(stride=('dH', 'dW'), padding=('padH', 'padW'), dilation=('dilationH', 'dilationW'))
    return {name: tuple(sizes[key] for key in keys) for name, keys in names.items()} | dict(
        groups=sizes['group'], offset_groups=sizes['deformable_group'])


def _v2(sizes: dict) -> dict:
    names = dict(stride='stride', padding='pad', dilation='dilation')
    return {name: (sizes[f'{key}_h'], sizes[f'{key}_w']) for name, key in names.items()} | dict(
        groups=sizes['group'], offset_groups=sizes['deformable_group'])


def _convolution(stride: tuple, padding: tuple, dilation: tuple, groups: int,
                 offset_groups: int) -> Callable:
    """``f(input, offset, mask or None, weight)``."""
    return partial(plain_deform_conv, stride=stride, padding=padding, dilation=dilation,
                   groups=groups, offset_groups=offset_groups)


def plain_deform_conv(input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor,
                      stride: tuple, padding: tuple, dilation: tuple, groups: int,
                      offset_groups: int) -> Tensor:
    """The convolution; shapes as in :func:`deform_conv_forward`."""
    batch, channels, height, width = input.shape
    out, _, rows, columns = weight.shape
    down, right = _output_size(input, weight, stride, padding, dilation)
    offset = _as_kernels_read(offset, down, right)
    mask = mask if mask is None else _as_kernels_read(mask, down, right)
    parts = input.reshape(batch * offset_groups, channels // offset_groups, height, width)
    offset = offset.reshape(batch * offset_groups, rows * columns, 2, down, right)
    y = torch.arange(down, device=input.device) * stride[0] - padding[0]
    x = torch.arange(right, device=input.device) * stride[1] - padding[1]
    result = 0
    for tap in range(rows * columns):
        row, column = divmod(tap, columns)
        at_y = (y + row * dilation[0])[:, None] + offset[:, tap, 0]
        at_x = (x + column * dilation[1]) + offset[:, tap, 1]
        # Pixel centers are at whole numbers; grid_sample counts -1 to 1 over the whole image.
        grid = torch.stack([(2 * at_x + 1) / width - 1, (2 * at_y + 1) / height - 1], -1)
        sampled = grid_sample(parts, grid, mode='bilinear', padding_mode='zeros',
                              align_corners=False)
        if mask is not None:
            sampled = sampled * mask.reshape(-1, rows * columns, 1, down, right)[:, tap]
        sampled = sampled.reshape(batch, groups, channels // groups, down, right)
        kernel = weight[:, :, row, column].reshape(groups, out // groups, -1)
        result = result + torch.einsum('bgchw,gdc->bgdhw', sampled, kernel)
    return result.reshape(batch, out, down, right)


def _output_size(input: Tensor, weight: Tensor, stride: tuple, padding: tuple,
                 dilation: tuple) -> list[int]:
    return [(input.shape[2 + axis] + 2 * padding[axis]
             - dilation[axis] * (weight.shape[2 + axis] - 1) - 1) // stride[axis] + 1
            for axis in (0, 1)]


def _as_kernels_read(values: Tensor, down: int, right: int) -> Tensor:
    """Offsets or masks (B, N, P, Q) of another size than the output's.

    DyHead has such: mmcv's kernels take the numbers of an image one after the other, as if they
    were (N, down, right).
    """
    if values.shape[2:] == (down, right):
        return values
    count = values.shape[1] * down * right
    if values[0].numel() < count:
        raise ValueError(f'offsets of {tuple(values.shape[2:])} cells for an output of '
                         f'{(down, right)}')
    return values.flatten(1)[:, :count].reshape(len(values), -1, down, right)


def _gradients(convolve: Callable, inputs: tuple, grad_output: Tensor) -> list[Tensor | None]:
    """By each of ``inputs``, None for None."""
    inputs = [None if t is None else exact(t).detach().requires_grad_() for t in inputs]
    with torch.enable_grad():
        output = convolve(*inputs)
    grads = iter(torch.autograd.grad(
        output, [t for t in inputs if t is not None], exact(grad_output)))
    return [None if t is None else next(grads) for t in inputs]
