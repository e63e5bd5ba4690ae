"""ViTDet's pyramid from one map."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import DefaultScope
from timm.layers import LayerNorm2d
from torch import nn

from mmppvit.models import SimpleFeaturePyramid


def _build(**kwargs) -> SimpleFeaturePyramid:
    torch.manual_seed(0)
    cfg = {'in_channels': 16, 'out_channels': 8, **kwargs}
    return MODELS.build(dict(type='mmdet.SimpleFeaturePyramid', **cfg))


@pytest.mark.parametrize('scales', [(4., 2., 1., .5), (4, 2, 1, 0.5), (2., 1.), (1., ),
                                    (1., .5, .25), (8., .125), (.5, )])
@pytest.mark.parametrize('extra', [0, 1, 2])
def test_every_level_has_its_size(scales, extra):
    neck = _build(scale_factors=scales, num_outs=len(scales) + extra)
    outs = neck(torch.randn(2, 16, 16, 24))
    sizes = [(int(16 * scale), int(24 * scale)) for scale in scales]
    for _ in range(extra):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    assert [tuple(out.shape) for out in outs] == [(2, 8, *size) for size in sizes]
    for k in range(len(scales), len(outs)):
        torch.testing.assert_close(outs[k], outs[k - 1][..., ::2, ::2], rtol=0, atol=0)


def test_blocks_bring_the_surroundings_in():
    """With blocks, a level at a place depends on tokens beyond the 3x3 convolution's reach."""
    for num_blocks, reach in ((0, 1), (1, 4), (2, 7)):
        neck = _build(scale_factors=(1., ), num_blocks=num_blocks, norm_cfg=None)
        for block in neck.blocks:
            nn.init.ones_(block.gamma)  # they start as almost nothing
        x = torch.randn(1, 16, 1, 31, requires_grad=True)
        neck(x)[0][..., 15].sum().backward()
        touched = x.grad.abs().sum((0, 1, 2)).nonzero().flatten()
        assert (touched.min(), touched.max()) == (15 - reach, 15 + reach)


def test_pointwise_levels_keep_tokens_apart():
    neck = SimpleFeaturePyramid(8, 4, (2., 1.), kernel_size=1)
    x = torch.randn(1, 8, 4, 5, requires_grad=True)
    for level, side in zip(neck(x), (2, 1), strict=True):
        cell = level[..., 2 * side:3 * side, side:2 * side].square().sum()
        (grad, ) = torch.autograd.grad(cell, x, retain_graph=True)
        assert grad.abs().sum(1).nonzero().tolist() == [[0, 2, 1]]


def test_defaults_are_those_of_vitdet():
    neck = SimpleFeaturePyramid(64)
    outs = neck(torch.randn(1, 64, 4, 4))
    assert [tuple(out.shape) for out in outs] == [(1, 256, s, s) for s in (16, 8, 4, 2)]
    assert neck.num_outs == 4
    first = neck.levels[0]
    assert [type(layer) for layer in first[:4]] == [nn.ConvTranspose2d, LayerNorm2d, nn.GELU,
                                                    nn.ConvTranspose2d]
    assert [(layer.conv.in_channels, layer.conv.kernel_size) for layer in first[4:]] == [
        (16, (1, 1)), (256, (3, 3))]
    assert not any(m.bias is not None for m in neck.modules() if type(m) is nn.Conv2d)
    assert {m.eps for m in neck.modules() if isinstance(m, LayerNorm2d)} == {1e-6}


@pytest.mark.parametrize(('norm_cfg', 'kind', 'count'), [
    (None, nn.Identity, 0),
    (dict(type='GN', num_groups=4), nn.GroupNorm, 9),
    (dict(type='mmdet.LayerNorm2d', eps=1e-6), LayerNorm2d, 9),
    (dict(type='BN'), nn.BatchNorm2d, 9),
])
def test_norms(norm_cfg, kind, count):
    neck = _build(norm_cfg=norm_cfg)
    assert sum(isinstance(module, kind) for module in neck.modules()) == count
    has_bias = [m.bias is not None for m in neck.modules() if type(m) is nn.Conv2d]
    assert has_bias == [norm_cfg is None] * 8
    for out in neck(torch.randn(2, 16, 4, 4)):
        assert out.isfinite().all()


def test_norm_by_its_short_name_in_configs():
    """Configs build within MMDetection's scope, where the prefix is not needed."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        neck = _build(norm_cfg=dict(type='LayerNorm2d'))
    assert any(isinstance(module, LayerNorm2d) for module in neck.modules())


def test_layer_norm_is_over_the_channels_at_every_position():
    out = _build()(torch.randn(2, 16, 4, 4))[2]
    torch.testing.assert_close(out.mean(1), torch.zeros(2, 4, 4), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.var(1, unbiased=False), torch.ones(2, 4, 4), rtol=0, atol=1e-3)


def test_a_tuple_counts_by_its_last_map():
    neck, maps = _build(), [torch.randn(1, 16, 4, 4) for _ in range(3)]
    torch.testing.assert_close(neck(tuple(maps)), neck(maps[-1]))


def test_every_parameter_has_a_gradient():
    neck = _build(num_outs=5)
    sum(out.square().sum() for out in neck(torch.randn(1, 16, 4, 4))).backward()
    assert not [name for name, param in neck.named_parameters() if param.grad is None]


@pytest.mark.parametrize('scales', [(), (3., 1.), (1., 2.), (.5, 1., 2.), (1.5, ), (2., 0.),
                                    (2., -1.)])
def test_scales_must_be_descending_powers_of_two(scales):
    with pytest.raises(ValueError, match=r'powers of two in descending order, got'):
        _build(scale_factors=scales)


def test_too_few_outputs():
    with pytest.raises(ValueError, match=r'num_outs 3 is less than the 4 scale_factors'):
        _build(num_outs=3)
