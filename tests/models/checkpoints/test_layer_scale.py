"""Layer scale is folded exactly: the block computes what it did."""
from __future__ import annotations

import pytest
import timm
import torch

from mmppvit.models.backbones import PEViT
from mmppvit.models.checkpoints import adapt_state_dict
from mmppvit.models.checkpoints.layouts import Source

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3)


def _vit(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    model = timm.create_model('vit_tiny_patch16_224', embed_dim=24, depth=2, num_heads=3, **options)
    for name, value in model.named_parameters():
        if 'gamma' in name:
            torch.nn.init.uniform_(value, -.5, 2.)
    return model.double().eval()


def _deit3(state: dict) -> dict:
    return {name.replace('ls1.gamma', 'gamma_1').replace('ls2.gamma', 'gamma_2'): value
            for name, value in state.items()}


@pytest.mark.parametrize('named', [dict, _deit3], ids=['timm', 'DeiT III'])
def test_blocks_compute_the_same(named):
    scaled, plain = _vit(init_values=.1), _vit()
    source = Source.read(named(scaled.state_dict()), 'timm')
    assert sum('folded into' in why for why in source.dropped.values()) == 4
    plain.load_state_dict(source.tensors)
    tokens = torch.randn(2, 7, 24, dtype=torch.double)
    for one, other in zip(scaled.blocks, plain.blocks, strict=True):
        torch.testing.assert_close(other(tokens), one(tokens), rtol=1e-5, atol=1e-5)
    assert not torch.equal(scaled.blocks[0].attn.proj.weight, plain.blocks[0].attn.proj.weight)


def test_a_backbone_takes_it():
    adapted, report = adapt_state_dict(_vit(init_values=.1).float().state_dict(), PEViT(arch=ARCH))
    assert not report.unexpected
    assert not report.missing
    assert 'blocks.1.mlp.fc2.weight' in adapted
