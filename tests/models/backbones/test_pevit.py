"""PEViT: no position anywhere, and a backbone as MMDetection expects one."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from mmdet.registry import MODELS
from timm.layers import set_fused_attn, use_fused_attn
from torch import nn

from mmppvit.encryption import mix_sub_patches
from mmppvit.models import PEViT
from mmppvit.models.layers import MixedPatchEmbed, ReferenceEncoding

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3)


def _build(seed: int = 0, **kwargs) -> PEViT:
    torch.manual_seed(seed)
    kwargs = {'arch': ARCH, 'patch_size': 8, **kwargs}
    model = MODELS.build(dict(type='mmdet.PEViT', **kwargs)).eval()
    for param in model.parameters():  # far from the small initial values, where all looks alike
        nn.init.normal_(param, std=.3)
    return model


def _image(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _shuffle(x: torch.Tensor, side: int, order: torch.Tensor) -> torch.Tensor:
    """Patches of ``side`` pixels of (B, C, H, W) in another order, the same for every image."""
    rows, cols = x.shape[2] // side, x.shape[3] // side
    patches = F.unfold(x, side, stride=side)[..., order]
    return F.fold(patches, (rows * side, cols * side), side, stride=side)


VARIANTS = [
    *(pytest.param(dict(grid=grid, nonlinear_embed=nonlinear, reference_encoding=rpe, **outs),
                   id=f'grid{grid}-{"non" * nonlinear}linear-{"" if rpe else "no_"}rpe-{name}')
      for grid in (1, 2, 4) for nonlinear in (False, True) for rpe in (False, True)
      for name, outs in (('last', dict()), ('several', dict(out_indices=(0, 1, -1))),
                         ('no_norm', dict(out_indices=1, final_norm=False)))),
    *(pytest.param(dict(grid=grid, class_token=True, **outs), id=f'class-grid{grid}-{name}')
      for grid, name, outs in ((1, 'last', dict()), (2, 'several', dict(out_indices=(0, 1, -1))),
                               (2, 'points', dict(num_points=5)))),
    *(pytest.param(dict(grid=grid, num_points=5, out_indices=(0, 1, -1)), id=f'points-grid{grid}')
      for grid in (1, 2)),
]


@pytest.mark.parametrize('kwargs', VARIANTS)
def test_shuffled_input_gives_shuffled_output(kwargs):
    model = _build(**kwargs)
    side = 8 // kwargs['grid']
    x = _image(2, 3, 4 * side, 6 * side)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain, shuffled = model(x), model(_shuffle(x, side, order))
    assert len(plain) == len(shuffled)
    for one, other in zip(plain, shuffled, strict=True):
        expected = _shuffle(one, 1, order)
        torch.testing.assert_close(other, expected, rtol=1e-5, atol=1e-5)
        assert (other - one).abs().max() > .1  # it would show if the order were lost


def test_shuffling_within_patches_is_not_the_same():
    model, x = _build(grid=1), _image(1, 3, 32, 32)
    assert (model(x)[0] - model(x.flip(3))[0].flip(3)).abs().max() > .1


@pytest.mark.parametrize(('arch', 'dims', 'heads'), [('tiny', 192, 3), ('small', 384, 6),
                                               ('base', 768, 12)])
def test_the_published_archs_are_position_free_too(arch, dims, heads):
    torch.manual_seed(0)
    model = PEViT(arch, out_indices=(1, )).eval()  # two blocks are enough
    assert model.embed_dims == dims
    assert model.num_layers == 12
    assert model.blocks[0].attn.num_heads == heads
    assert model.blocks[0].mlp.fc1.out_features == 4 * dims
    x, order = _image(1, 3, 32, 48), torch.randperm(24)
    with torch.no_grad():
        torch.testing.assert_close(model(_shuffle(x, 8, order))[0], _shuffle(model(x)[0], 1, order),
                                   rtol=1e-5, atol=1e-5)


def test_no_tensor_depends_on_the_image_size():
    state = _build().state_dict()
    assert not [name for name in state if 'pos' in name or 'token' in name]
    small, large = _image(1, 3, 8, 8), _image(1, 3, 40, 24)
    model = _build()
    assert model(small)[0].shape == (1, 24, 2, 2)
    assert model(large)[0].shape == (1, 24, 10, 6)


@pytest.mark.parametrize('grid', [1, 2, 4, 8])
def test_linear_embedding_of_the_mixed_image_pools_that_of_the_plain_one(grid):
    """``Conv(mix(x)) == AvgPool(Conv(x))``, the pool over the sub-patches of a patch."""
    embed = MixedPatchEmbed(16, grid, 3, 10).double()
    x = _image(2, 3, 32, 48).double()
    b, c, height, width = x.shape
    side = 16 // grid
    parts = x.reshape(b, c, height // 16, grid, side, width // 16, grid, side)
    mixed = parts.mean((3, 6)).reshape(b, c, height // grid, width // grid)
    pooled = F.avg_pool2d(F.conv2d(x, embed.proj.weight, embed.proj.bias, side), grid)
    torch.testing.assert_close(embed(mixed), pooled, rtol=1e-12, atol=1e-12)


def test_the_model_takes_what_mixing_returns():
    img = np.full((64, 96, 3), 200, np.uint8)
    mixed = torch.from_numpy(mix_sub_patches(img, 16, 2)).permute(2, 0, 1)[None].float()
    assert _build(patch_size=16, grid=2)(mixed)[0].shape == (1, 24, 4, 6)


def test_reference_encoding_is_the_formula():
    torch.manual_seed(0)
    layer, x = ReferenceEncoding(6).double(), torch.randn(2, 5, 6).double()
    hidden = (x - layer.reference) @ layer.fc1.weight.T + layer.fc1.bias
    logits = hidden.clamp(min=0) @ layer.fc2.weight.T + layer.fc2.bias
    torch.testing.assert_close(layer(x), x + 1 / (1 + (-logits).exp()))
    assert layer.reference.abs().max() > 0


@pytest.fixture
def attention_setting():
    before = use_fused_attn()
    yield
    set_fused_attn(bool(before), experimental=before == 2)


def test_fused_attention_equals_the_written_out_one(attention_setting):
    set_fused_attn(True)
    fused = _build().double()
    set_fused_attn(False)
    written = _build().double()
    assert fused.blocks[0].attn.fused_attn
    assert not written.blocks[0].attn.fused_attn
    x = _image(2, 3, 16, 24).double()
    torch.testing.assert_close(fused(x), written(x), rtol=1e-10, atol=1e-10)


def test_fused_attention_is_what_is_used():
    """Written out, the scores of a detection image do not fit into memory."""
    assert all(block.attn.fused_attn for block in PEViT(ARCH).blocks)


def _gradients(model: PEViT, x: torch.Tensor) -> dict[str, torch.Tensor | None]:
    for out in model.train()(x):
        out.square().sum().backward(retain_graph=True)
    return {name: param.grad for name, param in model.named_parameters()}


def test_recomputing_gives_the_same_gradients():
    x = _image(2, 3, 16, 24)
    plain = _gradients(_build(out_indices=(0, 2)), x)
    recomputed = _gradients(_build(out_indices=(0, 2), with_cp=True), x)
    assert plain.keys() == recomputed.keys()
    for name, grad in plain.items():
        torch.testing.assert_close(recomputed[name], grad, msg=name)


def test_recomputing_saves_memory():
    """Tensors kept for the backward pass, counted by autograd itself."""

    def saved(with_cp: bool) -> int:
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
                lambda t: sizes.append(t.nelement()) or t, lambda t: t):
            _build(with_cp=with_cp).train()(_image(1, 3, 16, 16))
        return sum(sizes)

    assert saved(True) < saved(False) / 3


@pytest.mark.parametrize('outs', [0, 1, -1, (0, 2), (-1, 0), (0, 1, 2)])
@pytest.mark.parametrize('final_norm', [True, False])
@pytest.mark.parametrize('nonlinear', [True, False])
def test_every_parameter_has_a_gradient(outs, final_norm, nonlinear):
    """DistributedDataParallel stops at parameters without one."""
    model = _build(out_indices=outs, final_norm=final_norm, nonlinear_embed=nonlinear)
    without = [name for name, grad in _gradients(model, _image(1, 3, 16, 16)).items()
               if grad is None]
    assert not without


@pytest.mark.parametrize(('outs', 'blocks'), [((0, ), [0]), ((-1, 0), [0, 2]), ((2, 1), [1, 2]),
                                          (-2, [1])])
def test_out_indices_are_the_blocks_in_order(outs, blocks):
    model, x = _build(out_indices=outs), _image(1, 3, 8, 16)
    assert model.out_indices == tuple(blocks)
    assert len(model.blocks) == blocks[-1] + 1
    tokens = model.reference_encoding(model.patch_embed(x).flatten(2).transpose(1, 2))
    expected = []
    for i, block in enumerate(model.blocks):
        tokens = block(tokens)
        if i in blocks:
            expected.append(model.norm(tokens) if i == 2 else tokens)
    for out, token_map in zip(model(x), expected, strict=True):
        assert out.is_contiguous()
        assert out.shape == (1, 24, 2, 4)
        torch.testing.assert_close(out.flatten(2).transpose(1, 2), token_map)


@pytest.mark.parametrize('stages', [-1, 0, 1, 3])
@pytest.mark.parametrize('with_cp', [False, True])
def test_frozen_stages_do_not_move_and_the_rest_does(stages, with_cp):
    model = _build(frozen_stages=stages, drop_path_rate=.2, with_cp=with_cp).train()
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=.1, weight_decay=.1)
    for seed in range(3):  # several, as drop_path may skip a block
        model(_image(2, 3, 16, 16, seed=seed))[0].square().sum().backward()
    optimizer.step()
    for name, param in model.named_parameters():
        depth = model.get_layer_depth(name)[0]
        assert torch.equal(param, before[name]) == (depth <= stages), name
        assert param.requires_grad == (depth > stages)
    frozen = [model.patch_embed, model.reference_encoding, *model.blocks[:max(stages, 0)]]
    frozen = frozen if stages >= 0 else []
    assert not any(module.training for part in frozen for module in part.modules())
    assert all(block.training for block in model.blocks[max(stages, 0):])
    assert not any(module.training for module in model.eval().modules())


def test_drop_path_grows_linearly_and_only_acts_in_training():
    model = _build(drop_path_rate=.4)
    rates = [getattr(block.drop_path1, 'drop_prob', 0.) for block in model.blocks]
    np.testing.assert_allclose(rates, [0, .2, .4], rtol=1e-6)
    x = _image(4, 3, 16, 16)
    torch.testing.assert_close(model(x), model(x), rtol=0, atol=0)
    torch.testing.assert_close(model(x), _build()(x), rtol=0, atol=0)
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model(x)[0], model(x)[0])


def test_drop_path_rates_do_not_depend_on_out_indices():
    assert _build(drop_path_rate=.4, out_indices=1).blocks[1].drop_path1.drop_prob == \
        pytest.approx(.2)


def test_initial_weights_are_those_of_deit():
    torch.manual_seed(0)
    model = PEViT('tiny', out_indices=0)
    for name, param in model.named_parameters():
        if name.endswith('bias'):
            assert (param == 0).all(), name
        elif param.ndim > 1:
            assert .015 < param.std() < .021, name


@pytest.mark.parametrize('channels', [1, 3, 4, 5])
def test_any_number_of_channels(channels):
    model = _build(in_channels=channels)
    assert model(_image(1, channels, 8, 8))[0].shape == (1, 24, 2, 2)
    message = f'{channels + 1} channels and the patch embedding expects {channels}: .*in_channels'
    with pytest.raises(ValueError, match=message):
        model(_image(1, channels + 1, 8, 8))


@pytest.mark.parametrize(('shape', 'name', 'length'), [((250, 256), 'height', 250),
                                                 ((256, 100), 'width', 100)])
def test_sides_that_do_not_divide_name_the_remedy(shape, name, length):
    message = (rf'image {name} {length} is not a multiple of the sub-patch {name} 8 '
               r'\(patch 16, grid 2\): set data_preprocessor.pad_size_divisor=8')
    with pytest.raises(ValueError, match=message):
        _build(patch_size=16, grid=2)(torch.zeros(1, 3, *shape))


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(arch='huge'), r"'huge' is unknown: choose one of \['base', 'small', 'tiny'\] or give"),
    (dict(arch=dict(embed_dims=8)), r"arch needs embed_dims, .* got \['embed_dims'\]"),
    (dict(arch=dict(**ARCH, depth=3)), 'arch needs .* may have mlp_ratio; got .*depth'),
    (dict(arch=dict(ARCH, num_heads=5)), 'embed_dims 24 is not a multiple of num_heads 5'),
    (dict(out_indices=3), r'out_indices \(3,\) do not fit 3 blocks'),
    (dict(out_indices=(0, -4)), r'out_indices \(0, -4\) do not fit 3 blocks'),
    (dict(out_indices=()), r'out_indices \(\) do not fit'),
    (dict(frozen_stages=4), 'frozen_stages 4 is not between -1 and the number of blocks, 3'),
    (dict(frozen_stages=-2), 'frozen_stages -2 is not'),
    (dict(grid=3), 'grid 3 does not divide the patch size 16'),
])
def test_errors_of_the_constructor(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PEViT(**{'arch': ARCH, **kwargs})


def test_mlp_ratio_can_be_given():
    assert PEViT(dict(ARCH, mlp_ratio=2.)).blocks[0].mlp.fc1.out_features == 48


def test_exports_to_a_graph_without_positions():
    """torch.export sees the whole model: no Python branches on the data."""
    model, x = _build(), _image(1, 3, 16, 24)
    exported = torch.export.export(model, (x, )).module()
    torch.testing.assert_close(exported(x), model(x))
