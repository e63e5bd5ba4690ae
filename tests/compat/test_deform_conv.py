"""Deformable convolutions against ordinary ones, loops and finite differences."""
from __future__ import annotations

import math
import sys
from itertools import product

import pytest
import torch
from mmcv import ops
from torch.nn.functional import conv2d

from mmppvit.compat.ops.deform_conv import plain_deform_conv

pytestmark = pytest.mark.skipif(
    type(sys.modules['mmcv._ext']).__name__ != '_StandIn',
    reason='the compiled operators of mmcv are installed')

CASES = [dict(stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1, offset_groups=1),
         dict(stride=(2, 1), padding=(0, 2), dilation=(1, 2), groups=2, offset_groups=1),
         dict(stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=1, offset_groups=2)]


def make(sizes, kernel=(3, 2), size=(7, 6), dtype=torch.float64):
    """Input, offsets, mask and weight."""
    torch.manual_seed(0)
    image = torch.randn(2, 4, *size, dtype=dtype)
    weight = torch.randn(4, 4 // sizes['groups'], *kernel, dtype=dtype)
    shape = conv2d(image, weight, None, sizes['stride'], sizes['padding'], sizes['dilation'],
                   sizes['groups']).shape[2:]
    taps = sizes['offset_groups'] * kernel[0] * kernel[1]
    offset = torch.randn(2, 2 * taps, *shape, dtype=dtype) * 2
    return image, offset, torch.rand(2, taps, *shape, dtype=dtype), weight


@pytest.mark.parametrize('sizes', CASES)
def test_without_offsets_it_is_a_convolution(sizes):
    image, offset, mask, weight = make(sizes)
    expected = conv2d(image, weight, None, sizes['stride'], sizes['padding'], sizes['dilation'],
                      sizes['groups'])
    arguments = (sizes['stride'], sizes['padding'], sizes['dilation'], sizes['groups'],
                 sizes['offset_groups'])
    torch.testing.assert_close(ops.deform_conv2d(image, offset * 0, weight, *arguments), expected)
    bias = torch.arange(4.).double()
    torch.testing.assert_close(
        ops.modulated_deform_conv2d(image, offset * 0, mask * 0 + 1, weight, bias, *arguments),
        expected + bias[:, None, None])


def at(image, y, x):
    """Bilinear value of (H, W), 0 outside of it."""
    total = 0.
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * float(image[row, column])
    return total


def loops(image, offset, mask, weight, stride, padding, dilation, groups, offset_groups):
    """One number after the other."""
    batch, channels, *_ = image.shape
    out, per_group, rows, columns = weight.shape
    result = torch.zeros(batch, out, *offset.shape[2:], dtype=image.dtype)
    for b, d, p, q in product(*map(range, result.shape)):
        for c, r, s in product(range(per_group), range(rows), range(columns)):
            channel = d // (out // groups) * per_group + c
            tap = (channel // (channels // offset_groups)) * rows * columns + r * columns + s
            y = p * stride[0] - padding[0] + r * dilation[0] + float(offset[b, 2 * tap, p, q])
            x = q * stride[1] - padding[1] + s * dilation[1] + float(offset[b, 2 * tap + 1, p, q])
            result[b, d, p, q] += weight[d, c, r, s] * mask[b, tap, p, q] * at(
                image[b, channel], y, x)
    return result


@pytest.mark.parametrize('sizes', CASES)
def test_values(sizes):
    image, offset, mask, weight = make(sizes, size=(4, 3))
    torch.testing.assert_close(plain_deform_conv(image, offset, mask, weight, **sizes),
                               loops(image, offset, mask, weight, **sizes))


@pytest.mark.parametrize('sizes', CASES)
def test_gradients(sizes):
    image, offset, mask, weight = (t.requires_grad_() for t in make(sizes, (2, 1)))
    arguments = (sizes['stride'], sizes['padding'], sizes['dilation'], sizes['groups'],
                 sizes['offset_groups'])
    bias = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, o, w: ops.deform_conv2d(x, o, w, *arguments), (image, offset, weight),
        fast_mode=True)
    assert torch.autograd.gradcheck(
        lambda *args: ops.modulated_deform_conv2d(*args, *arguments),
        (image, offset, mask, weight, bias), fast_mode=True)


def test_half_precision():
    image, offset, mask, weight = make(CASES[0])
    exact = ops.modulated_deform_conv2d(image, offset, mask, weight, None, 1, 1, 1)
    half = ops.modulated_deform_conv2d(
        *(t.bfloat16() for t in (image, offset, mask, weight)), None, 1, 1, 1)
    assert half.dtype == torch.bfloat16
    assert (half.double() - exact).abs().mean() < .2


def test_offsets_of_a_larger_map():
    """DyHead's, which mmcv's kernels read one after the other."""
    image, offset, mask, weight = make(CASES[0])
    offset, mask = torch.randn(2, 12, 9, 8).double(), torch.rand(2, 6, 9, 8).double()
    shape = conv2d(image, weight, None, 1, 1).shape[2:]
    count = shape[0] * shape[1]
    expected = plain_deform_conv(
        image, offset.flatten(1)[:, :12 * count].reshape(2, 12, *shape),
        mask.flatten(1)[:, :6 * count].reshape(2, 6, *shape), weight, **CASES[0])
    torch.testing.assert_close(plain_deform_conv(image, offset, mask, weight, **CASES[0]), expected)
    with pytest.raises(ValueError, match='for an output of'):
        plain_deform_conv(image, offset[:, :, :2], mask, weight, **CASES[0])
