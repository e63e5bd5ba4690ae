"""The teacher is timm's ViT, token by token."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import timm
import torch

from mmppvit.models import PEViT
from mmppvit.models.checkpoints import adapt_state_dict, read_state_dict
from mmppvit.models.checkpoints.positions import split_table
from mmppvit.transfer.positioned_vit import PositionedViT, arch_of
from mmppvit.transfer.vit_features import build_backbone, positions_of, tokens_of
from tests.transfer.toys import toy_state, toy_vit


def _image(height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('options', [
    {}, dict(init_values=.5), dict(reg_tokens=3), dict(reg_tokens=3, no_embed_class=True),
    dict(no_embed_class=True), dict(class_token=False, global_pool='avg', fc_norm=False)])
@pytest.mark.parametrize('size', [(32, 32), (24, 56)])
def test_it_gives_the_patch_tokens_of_timm(options, size):
    vit = toy_vit(**options)
    model = PositionedViT(vit.state_dict(), patch_size=8, num_heads=3).eval()
    with torch.no_grad():
        want = vit.forward_features(_image(*size))[:, vit.num_prefix_tokens:]
        torch.testing.assert_close(model(_image(*size)), want, rtol=1e-4, atol=1e-4)


def test_dinov2_gives_what_timm_gives(find_real_weights):
    state = read_state_dict(find_real_weights('vit_small_patch14_dinov2.safetensors'))
    vit = timm.create_model('vit_small_patch14_dinov2', num_classes=0, dynamic_img_size=True)
    vit.load_state_dict(state)
    model = PositionedViT(state, patch_size=14).eval()
    with torch.no_grad():
        want = vit.eval().forward_features(_image(70, 56))[:, 1:]
        got = model(_image(70, 56))
    assert (got - want).norm() < 1e-4 * want.norm()


def test_without_positions_and_class_token_it_is_a_pevit():
    state = toy_state(class_token=False, global_pool='avg', fc_norm=False)
    state['pos_embed'].zero_()
    pevit = PEViT(arch_of(state, 3), 8, 1, reference_encoding=False).eval()
    pevit.load_state_dict(adapt_state_dict(state, pevit)[0])
    with torch.no_grad():
        torch.testing.assert_close(PositionedViT(state, 8, num_heads=3).eval()(_image()),
                                   tokens_of(pevit, _image()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('options', [{}, dict(no_embed_class=True)])
def test_the_class_token_has_no_place_and_may_stay(options):
    """Without positions of patches, that of the class token among what stays."""
    state = toy_state(**options)
    state['pos_embed'][:, state['pos_embed'].shape[1] % 4:] = 0
    kept, token, none = (build_backbone(state, 8, positions=positions, num_heads=3)
                         for positions in ('kept', 'class', 'none'))
    with torch.no_grad():
        want = kept(_image())
        torch.testing.assert_close(tokens_of(token, _image()), want, rtol=1e-4, atol=1e-5)
        assert (tokens_of(none, _image()) - want).abs().max() > 2e-3


def test_mixed_images_get_the_kernel_of_mixed_images():
    plain, mixed = (PositionedViT(toy_state(), 8, grid, num_heads=3).eval() for grid in (1, 2))
    tile = torch.randn(1, 3, 8, 8).repeat_interleave(2, 0)
    small = tile.repeat(1, 1, 4, 4)  # 8x8 patches of 4
    whole = small.reshape(2, 3, 8, 4, 8, 4).repeat(1, 1, 1, 2, 1, 2).reshape(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(mixed(small), plain(whole), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('rows', 'lead'), [(16, 0), (17, 1), (18, 2), (1, 0), (20, 4)])
def test_tables_of_squares(rows, lead):
    first, patches = split_table(torch.zeros(1, rows, 3))
    assert (first.shape[1], patches.shape[1]) == (lead, rows - lead)


def test_what_is_no_plain_vit_is_refused():
    with pytest.raises(ValueError, match='a table of 95 positions is not that of square images'):
        split_table(torch.zeros(1, 95, 3))
    state = toy_state()
    assert positions_of(state) == ('kept', 'class', 'none')
    del state['blocks.1.mlp.fc2.bias']
    with pytest.raises(ValueError, match=r"1 tensors differ, e.g. \['blocks.1.mlp.fc2.bias'\]"):
        PositionedViT(state, 8, num_heads=3)
    pevit = PEViT(dict(embed_dims=24, num_layers=2, num_heads=3), 8).state_dict()
    assert positions_of(pevit) == ('none', )
    with pytest.raises(ValueError, match="no positions 'kept': choose one of none"):
        build_backbone(pevit, 8, 2, 'kept')
