"""PEViT as a classifier: no order of patches, timm's conventions, and the backbone's names."""
from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from mmppvit.encryption import mix_sub_patches
from mmppvit.models import PEViT
from mmppvit.models.classifiers.pevit_classifier import mix_image_batch

SMALL = dict(embed_dim=24, depth=2, num_heads=3, num_classes=7)
NAMES = [f'pevit_{size}_patch16_224{mix}' for size in ('tiny', 'small', 'base')
         for mix in ('', '_mix')]


def _build(name: str = 'pevit_tiny_patch16_224', **kwargs) -> nn.Module:
    torch.manual_seed(0)
    model = timm.create_model(name, **{**SMALL, **kwargs}).eval()
    for param in model.parameters():  # far from the small initial values, where all looks alike
        nn.init.normal_(param, std=.3)
    return model


def _image(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _shuffle(x: torch.Tensor, side: int, seed: int = 1) -> torch.Tensor:
    patches = F.unfold(x, side, stride=side)
    order = torch.randperm(patches.shape[2], generator=torch.Generator().manual_seed(seed))
    return F.fold(patches[..., order], x.shape[2:], side, stride=side)


@pytest.mark.parametrize('pool', ['token', 'avg'])
@pytest.mark.parametrize('nonlinear', [False, True])
@pytest.mark.parametrize('encoding', [False, True])
@pytest.mark.parametrize(('name', 'mix_input', 'side'), [
    ('pevit_tiny_patch16_224', False, 16), ('pevit_tiny_patch16_224_mix', False, 8),
    ('pevit_tiny_patch16_224_mix', True, 16)])
def test_logits_do_not_depend_on_the_order_of_the_patches(name, mix_input, side, pool, nonlinear,
                                                          encoding):
    model = _build(name, mix_input=mix_input, global_pool=pool, nonlinear_embed=nonlinear,
                   reference_encoding=encoding)
    assert model.input_patch == side
    x = _image(2, 3, 4 * side, 6 * side)
    with torch.no_grad():
        plain, shuffled = model(x), model(_shuffle(x, side))
        other = model(x.flip(3))  # shuffles within patches, too
    torch.testing.assert_close(shuffled, plain, rtol=1e-5, atol=1e-5)
    assert (other - plain).abs().max() > .01


@pytest.mark.parametrize('name', NAMES)
def test_the_published_sizes(name):
    arch = dict(tiny=(192, 3), small=(384, 6), base=(768, 12))[name.split('_')[1]]
    model = timm.create_model(name, depth=1)
    mixed = name.endswith('_mix')
    assert (model.num_features, model.blocks[0].attn.num_heads) == arch
    assert model.default_cfg['input_size'] == ((3, 112, 112) if mixed else (3, 224, 224))
    assert model.patch_embed.proj.kernel_size == ((8, 8) if mixed else (16, 16))
    assert timm.create_model(name, depth=1, num_classes=3).head.out_features == 3


def test_all_are_in_the_registry_with_twelve_blocks():
    assert set(NAMES) <= set(timm.list_models('pevit_*'))
    assert len(timm.create_model('pevit_tiny_patch16_224').blocks) == 12


def test_mixing_inside_equals_mixing_before_but_for_rounding():
    rng = np.random.default_rng(0)
    img = rng.integers(0, 256, (64, 96, 3), np.uint8)
    mixed = mix_sub_patches(img, 16, 2)
    ours = mix_image_batch(torch.from_numpy(img).permute(2, 0, 1)[None].double(), 16, 2)
    theirs = torch.from_numpy(mixed).permute(2, 0, 1)[None].double()
    assert (ours - theirs).abs().max() <= .5
    assert (ours - F.avg_pool2d(torch.from_numpy(img).permute(2, 0, 1)[None].double(), 2)
            ).abs().max() > 5
    inside = _build('pevit_tiny_patch16_224_mix', mix_input=True).double()
    before = _build('pevit_tiny_patch16_224_mix').double()
    with torch.no_grad():
        plain = torch.from_numpy(img).permute(2, 0, 1)[None].double() / 255
        torch.testing.assert_close(inside(plain), before(ours / 255), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(inside(plain), before(theirs / 255), rtol=.1, atol=.1)


def test_trainers_that_know_nothing_of_mixing_are_told_the_plain_size():
    model = _build('pevit_tiny_patch16_224_mix', mix_input=True)
    assert timm.data.resolve_model_data_config(model)['input_size'] == (3, 224, 224)
    with pytest.raises(ValueError, match='multiple of 16'):
        model(_image(1, 3, 40, 48))


def test_names_are_those_of_the_backbone():
    arch = dict(embed_dims=24, num_layers=2, num_heads=3)
    backbone = PEViT(arch, grid=2, nonlinear_embed=True)
    model = _build('pevit_tiny_patch16_224_mix', nonlinear_embed=True)
    extra = model.state_dict().keys() - backbone.state_dict().keys()
    assert extra == {'cls_token', 'head.weight', 'head.bias'}
    backbone.load_state_dict({name: value for name, value in model.state_dict().items()
                              if name not in extra})
    x = _image(1, 3, 32, 48)
    tokens = model.reference_encoding(model.patch_embed(x).flatten(2).transpose(1, 2))
    torch.testing.assert_close(
        tokens, backbone.reference_encoding(backbone.patch_embed(x).flatten(2).transpose(1, 2)))


def test_the_class_token_is_not_encoded():
    model, seen = _build(), []
    model.reference_encoding.register_forward_hook(lambda _, args, __: seen.append(args[0].shape))
    features = model.forward_features(_image(2, 3, 32, 48))
    assert seen == [(2, 6, 24)]
    assert features.shape == (2, 7, 24)


def test_the_interface_of_timm():
    model, x = _build(drop_rate=.1), _image(2, 3, 32, 32)
    features = model.forward_features(x)
    torch.testing.assert_close(model.forward_head(features), model(x))
    assert model.forward_head(features, pre_logits=True).shape == (2, model.num_features)
    assert model.get_classifier() is model.head
    model.reset_classifier(0, 'avg')
    torch.testing.assert_close(model(x), features[:, 1:].mean(1))
    model.reset_classifier(5, '')
    assert model(x).shape == (2, 5, 5)
    with pytest.raises(ValueError, match="choose 'token'"):
        model.reset_classifier(5, 'max')
    assert model.no_weight_decay() <= dict(model.named_parameters()).keys()
    groups = timm.models._manipulate.group_parameters(model, model.group_matcher())
    assert sum(len(names) for names in groups.values()) == len(list(model.parameters()))


def test_optimizers_of_timm_take_it():
    from timm.optim import create_optimizer_v2
    model = _build()
    optimizer = create_optimizer_v2(model, 'adamw', weight_decay=.05, layer_decay=.7)
    undecayed = {id(p) for group in optimizer.param_groups if not group['weight_decay']
                 for p in group['params']}
    assert {id(model.cls_token), id(model.reference_encoding.reference)} <= undecayed


def test_recomputing_blocks_changes_no_gradient():
    x, grads = _image(2, 3, 32, 32), []
    for enable in (False, True):
        model = _build().train()
        model.set_grad_checkpointing(enable)
        model(x).sum().backward()
        grads.append([param.grad for param in model.parameters()])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


def test_weights_start_as_those_of_deit():
    torch.manual_seed(0)
    model = timm.create_model('pevit_tiny_patch16_224', depth=2)
    for name, param in model.named_parameters():
        if name.endswith('bias'):
            assert not param.any(), name
        elif 'norm' not in name:
            assert .015 < param.std() < .023, name


@pytest.mark.parametrize('precision', [torch.float64, torch.bfloat16])
def test_other_precisions(precision):
    model = _build().to(precision)
    assert model(_image(1, 3, 32, 32).to(precision)).dtype == precision
    model.reset_classifier(3)
    assert model.head.weight.dtype == precision
