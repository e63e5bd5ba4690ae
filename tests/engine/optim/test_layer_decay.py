"""Layer-wise learning-rate decay: the exact table of rates."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import torch
from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from mmppvit.models import PEViT

LR, WD = 1e-3, .1


class _Detector(nn.Module):

    def __init__(self, **kwargs) -> None:
        super().__init__()
        self.backbone = PEViT(
            dict(embed_dims=12, num_layers=3, num_heads=3), patch_size=8, **kwargs)
        self.neck = nn.Conv2d(12, 12, 1)
        self.bbox_head = nn.Sequential(nn.Conv2d(12, 4, 1), nn.BatchNorm2d(4))


def _optimizer(model: nn.Module, optimizer: dict | None = None, **kwargs) -> torch.optim.Optimizer:
    cfg = dict(
        type='OptimWrapper',
        optimizer=optimizer or dict(type='AdamW', lr=LR, weight_decay=WD),
        constructor='ViTLayerDecayOptimWrapperConstructor',
        **kwargs)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return build_optim_wrapper(model, cfg).optimizer


def _table(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    """(lr, weight decay) of every parameter; fails if one is in two groups."""
    table: dict[str, tuple[float, float]] = {}
    names = {param: name for name, param in model.named_parameters()}
    for group in optimizer.param_groups:
        for param in group['params']:
            assert names[param] not in table
            table[names[param]] = (group['lr'], group['weight_decay'])
    return table


# Depths: embedding 0, blocks 1 to 3, what follows 4.
@pytest.mark.parametrize(('name', 'exponent', 'decay'), [
    ('backbone.patch_embed.proj.weight', 4, WD),
    ('backbone.patch_embed.proj.bias', 4, 0.),
    ('backbone.patch_embed.mixer.1.weight', 4, WD),
    ('backbone.reference_encoding.reference', 4, 0.),
    ('backbone.reference_encoding.fc1.weight', 4, WD),
    ('backbone.blocks.0.norm1.weight', 3, 0.),
    ('backbone.blocks.0.attn.qkv.weight', 3, WD),
    ('backbone.blocks.1.mlp.fc1.weight', 2, WD),
    ('backbone.blocks.1.mlp.fc1.bias', 2, 0.),
    ('backbone.blocks.2.attn.proj.weight', 1, WD),
    ('backbone.norm.weight', 0, 0.),
    ('neck.weight', 0, WD),
    ('neck.bias', 0, 0.),
    ('bbox_head.0.weight', 0, WD),
    ('bbox_head.1.weight', 0, 0.),
])
@pytest.mark.parametrize('rate', [.7, 1.])
def test_rates(name, exponent, decay, rate):
    model = _Detector(nonlinear_embed=True)
    table = _table(model, _optimizer(model, paramwise_cfg=dict(decay_rate=rate)))
    assert table[name] == (pytest.approx(LR * rate**exponent, rel=1e-12), decay)


@pytest.mark.parametrize('kwargs', [dict(), dict(frozen_stages=0), dict(frozen_stages=2),
                                    dict(out_indices=(0, 1)), dict(reference_encoding=False)])
@pytest.mark.parametrize('paramwise', [None, dict(), dict(decay_rate=.5)])
def test_every_trainable_parameter_is_in_one_group(kwargs, paramwise):
    model = _Detector(**kwargs)
    model.neck.bias.requires_grad_(False)
    table = _table(model, _optimizer(model, paramwise_cfg=paramwise))
    assert set(table) == {n for n, p in model.named_parameters() if p.requires_grad}
    assert 'neck.bias' not in table


@pytest.mark.parametrize('kwargs', [dict(), dict(paramwise_cfg=None), dict(paramwise_cfg={})])
def test_norms_and_biases_are_not_decayed_without_paramwise_cfg(kwargs):
    """MMEngine's own constructor would then treat all parameters alike."""
    model = _Detector()
    table = _table(model, _optimizer(model, **kwargs))
    for name, param in model.named_parameters():
        assert table[name] == (LR, 0. if param.ndim <= 1 else WD), name


def test_there_are_as_few_groups_as_pairs():
    model = _Detector()
    groups = _optimizer(model, paramwise_cfg=dict(decay_rate=.7)).param_groups
    pairs = {(group['lr'], group['weight_decay']) for group in groups}
    assert len(groups) == len(pairs) == 10  # 5 depths, with and without weight decay


def test_depths_do_not_depend_on_out_indices():
    """Blocks that are not built still count, so that a rate means the same."""
    model = _Detector(out_indices=0)
    table = _table(model, _optimizer(model, paramwise_cfg=dict(decay_rate=.5)))
    assert table['backbone.blocks.0.attn.qkv.weight'][0] == LR * .5**3


def test_custom_keys_multiply_and_the_longest_counts():
    model = _Detector()
    table = _table(model, _optimizer(model, paramwise_cfg=dict(decay_rate=.5, custom_keys={
        'backbone': dict(lr_mult=.1),
        'backbone.blocks.0': dict(lr_mult=10., decay_mult=.5),
        'neck': dict(decay_mult=0.),
        'norm1': dict(decay_mult=2.)})))
    approx = pytest.approx
    assert table['backbone.blocks.1.attn.qkv.weight'] == (approx(LR * .25 * .1), WD)
    assert table['backbone.blocks.0.attn.qkv.weight'] == (approx(LR * .125 * 10), WD / 2)
    assert table['backbone.blocks.1.attn.qkv.bias'] == (approx(LR * .25 * .1), 0.)
    assert table['backbone.blocks.1.norm1.weight'] == (approx(LR * .25 * .1), 0.)
    assert table['neck.weight'] == (LR, 0.)
    assert table['bbox_head.0.weight'] == (LR, WD)


def test_an_optimizer_without_weight_decay():
    model = _Detector()
    table = _table(model, _optimizer(model, dict(type='SGD', lr=LR), paramwise_cfg=dict(
        decay_rate=.5)))
    assert table['backbone.patch_embed.proj.weight'] == (LR * .5**4, 0.)


def test_a_step_moves_each_parameter_by_its_rate():
    model = _Detector()
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    optimizer = _optimizer(model, dict(type='SGD', lr=1., weight_decay=0.), paramwise_cfg=dict(
        decay_rate=.5))
    for param in model.parameters():
        param.grad = torch.ones_like(param)
    optimizer.step()
    for name, param in model.named_parameters():
        depth, count = model.backbone.get_layer_depth(name, 'backbone.')
        torch.testing.assert_close(before[name] - param, torch.full_like(
            param, .5**(count - 1 - depth)), msg=name)


@pytest.mark.parametrize(('paramwise', 'error', 'message'), [
    (dict(decay_rate=0.), ValueError, r'decay_rate must lie in \(0, 1\], got 0'),
    (dict(decay_rate=1.5), ValueError, r'decay_rate must lie in \(0, 1\], got 1.5'),
    (dict(decay_rate=.7, num_layers=12), ValueError,
     r"paramwise_cfg has \['num_layers'\]; .* knows \['custom_keys', 'decay_rate'\]"),
    (dict(norm_decay_mult=0.), ValueError, r"paramwise_cfg has \['norm_decay_mult'\]"),
])
def test_errors_of_paramwise_cfg(paramwise, error, message):
    with pytest.raises(error, match=message):
        _optimizer(_Detector(), paramwise_cfg=paramwise)


@pytest.mark.parametrize('model', [nn.Linear(2, 2), nn.ModuleDict({'backbone': nn.Linear(2, 2)})])
def test_a_backbone_without_depths(model):
    with pytest.raises(TypeError, match=r'needs a backbone with get_layer_depth, such as PEViT'):
        _optimizer(model, paramwise_cfg=dict(decay_rate=.7))


def test_it_is_registered():
    assert OPTIM_WRAPPER_CONSTRUCTORS.get('ViTLayerDecayOptimWrapperConstructor') is not None
