"""A start at which detection tokens look at their own part of the image."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import torch

from mmppvit.models.backbones import YOLOSViT
from mmppvit.models.layers import spread_places, wave_positions

COUNT, CELLS = 10, (6, 8)


def _vit(**kwargs) -> YOLOSViT:
    torch.manual_seed(0)
    return YOLOSViT(arch=dict(embed_dims=96, num_layers=2, num_heads=2), num_det_tokens=COUNT,
                    table_size=tuple(16 * side for side in CELLS), **kwargs)


def _attention(vit: YOLOSViT) -> torch.Tensor:
    """(Q, N): what detection tokens take from which patch in the first block, over all heads."""
    patches = vit.patch_embed(torch.randn(1, 3, *(8 * side for side in CELLS)))
    tokens = torch.cat((vit.cls_token, patches.flatten(2).transpose(1, 2), vit.det_token), 1)
    block = vit.blocks[0]
    qkv = block.attn.qkv(block.norm1(tokens + vit.pos_embed)).unflatten(-1, (3, 2, 48))
    query, key, _ = qkv[0].permute(1, 2, 0, 3)
    weights = (query @ key.transpose(1, 2) * 48**-.5).softmax(-1).mean(0)
    return weights[-COUNT:, 1:-COUNT]


def _distances() -> torch.Tensor:
    patches = torch.cartesian_prod(*(torch.arange(side) + .5 for side in CELLS))
    return torch.cdist(spread_places(COUNT, CELLS), patches)


@torch.no_grad()
def test_detection_tokens_look_at_patches_near_their_own_place():
    for local_start, near in ((True, .75), (False, 0.)):
        attention, distances = _attention(_vit(local_start=local_start)), _distances()
        share = (attention * (distances < 2)).sum() / attention.sum()
        evenly = (distances < 2).float().mean()
        assert share > near
        if not local_start:
            assert share == pytest.approx(evenly, abs=.05)


@pytest.mark.parametrize(('count', 'cells'), [(1, (3, 5)), (6, (2, 3)), (50, (12, 16)), (7, (1, 9)),
                                              (100, (50, 84))])
def test_places_are_spread_over_the_image(count, cells):
    places = spread_places(count, cells)
    assert places.shape == (count, 2)
    assert (places > 0).all()
    assert (places < torch.tensor(cells)).all()
    if count == 6:
        rows_and_columns = torch.tensor([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]])
        assert torch.equal(places, rows_and_columns + .5)
    # Nowhere is further from a place than twice the side of the area that each one has.
    cell = torch.cartesian_prod(*(torch.arange(side) + .5 for side in cells))
    farthest = torch.cdist(cell, places).min(1).values.max()
    assert farthest < 2 * max(cells[0] * cells[1] / count, 1)**.5


def test_waves_tell_places_apart_by_their_distance():
    far = torch.tensor([[0., 0.], [0., 1.], [1., 0.], [0., 2.], [0., 4.]])
    waves = wave_positions(far, 96)
    product = waves @ waves[0]
    assert product[0] == pytest.approx(48)
    assert product[1] == pytest.approx(product[2].item(), rel=1e-4)
    assert product[0] > product[1] > product[3] > product[4]


def test_the_blocks_begin_with_keys_that_equal_queries():
    for block in _vit(local_start=True).blocks:
        query, key, value = block.attn.qkv.weight.chunk(3)
        assert torch.equal(query, key)
        assert not torch.equal(key, value)


def test_widths_that_waves_do_not_divide_are_refused():
    with pytest.raises(ValueError, match='multiples of 4, got 6'):
        YOLOSViT(arch=dict(embed_dims=6, num_layers=1, num_heads=1), local_start=True)
