"""Induced attention treats tokens as a set, in linear time, and learns."""
from __future__ import annotations

import pytest
import torch

from mmppvit.models import PEViT
from mmppvit.models.layers import InducedAttention


def test_it_is_what_the_paper_writes():
    """Softmax over tokens for every point, then over points for every token."""
    torch.manual_seed(0)
    layer, x = InducedAttention(8, 2, 3), torch.randn(2, 7, 8)
    query, key, value = layer.qkv(x).chunk(3, -1)
    expected = []
    for head in (slice(0, 4), slice(4, 8)):
        points = layer.points[0, :, head]
        expected.append((points @ key[..., head].mT / 2).softmax(-1) @ value[..., head])
    key, value = layer.gathered(torch.cat(expected, -1)).chunk(2, -1)
    expected = [(query[..., head] @ key[..., head].mT / 2).softmax(-1) @ value[..., head]
                for head in (slice(0, 4), slice(4, 8))]
    torch.testing.assert_close(layer(x), layer.proj(torch.cat(expected, -1)))


def test_tokens_that_do_not_count_change_nothing():
    torch.manual_seed(0)
    layer, x = InducedAttention(8, 2, 3), torch.randn(1, 7, 8)
    mask = torch.tensor([True] * 5 + [False] * 2)[None, None, None]
    torch.testing.assert_close(layer(x, mask)[:, :5], layer(x[:, :5]))


@pytest.mark.parametrize('grid', [1, 2])
def test_every_parameter_learns(grid):
    torch.manual_seed(0)
    model = PEViT(dict(embed_dims=24, num_layers=2, num_heads=2), grid=grid, num_points=4).train()
    model(torch.randn(1, 3, 32, 48))[0].square().mean().backward()
    assert not [name for name, param in model.named_parameters() if param.grad is None]


def test_wrong_sizes():
    with pytest.raises(ValueError, match='multiple of num_heads 3'):
        InducedAttention(8, 3, 4)
    with pytest.raises(ValueError, match='num_points 0'):
        PEViT('tiny', num_points=0)
