"""Weights of plain ViTs in PEViT: nothing lost, nothing loaded in silence."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
from mmdet.registry import MODELS
from safetensors.torch import save_file
from timm.layers import resample_patch_embed
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from mmppvit.models import PEViT
from mmppvit.models.checkpoints import adapt_state_dict, load_pretrained, mix_kernel, to_pevit
from tests.models.released_yolos import ReleasedYOLOS

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3)
KERNEL = 'patch_embed.proj.weight'


def _vit(patch: int = 16, **kwargs) -> VisionTransformer:
    torch.manual_seed(0)
    kwargs = {'embed_dim': 24, 'depth': 3, 'num_heads': 3, 'num_classes': 5, **kwargs}
    vit = VisionTransformer(img_size=64, patch_size=patch, dynamic_img_size=True, **kwargs)
    for param in vit.parameters():
        nn.init.normal_(param, std=.2)
    return vit.eval()


def _pevit(**kwargs) -> PEViT:
    torch.manual_seed(1)
    return PEViT(**{'arch': ARCH, **kwargs}).eval()


def _saved(tmp_path, state: dict, name: str = 'weights.pth') -> str:
    path = str(tmp_path / name)
    (save_file if name.endswith('safetensors') else torch.save)(state, path)
    return path


@pytest.fixture(scope='module', params=['vit_tiny_patch16_224', 'deit_tiny_patch16_224',
                                        'deit_tiny_distilled_patch16_224'])
def timm_state(request) -> dict:
    return timm.create_model(request.param, pretrained=False).state_dict()


@pytest.mark.parametrize('grid', [1, 2, 4])
def test_timm_models_leave_nothing_unexplained(timm_state, grid):
    model = PEViT('tiny', grid=grid)
    adapted, report = adapt_state_dict(timm_state, model)
    assert report.complete
    new = [f'reference_encoding.{name}' for name in (
        'fc1.bias', 'fc1.weight', 'fc2.bias', 'fc2.weight', 'reference')]
    assert list(report.initialized) == new
    assert {name.split('.')[0] for name in report.dropped} == \
        {name.split('.')[0] for name in timm_state} & {
            'pos_embed', 'cls_token', 'dist_token', 'head', 'head_dist'}
    assert set(report.adapted) == ({KERNEL} if grid > 1 else set())
    # Every tensor has one fate, and every tensor of the model one origin.
    assert report.sources() == sorted(timm_state)
    assert report.targets() == sorted(model.state_dict())
    assert sorted([*adapted, *report.initialized]) == sorted(model.state_dict())
    for name in report.copied:
        assert adapted[name] is timm_state[name]


@pytest.mark.parametrize('grid', [2, 4])
def test_tokens_are_kept_where_mixing_loses_nothing(grid):
    """In an image with equal sub-patches mixing is exact, and then so is the new kernel."""
    side = 16 // grid
    mixed = torch.randn(1, 3, 4 * side, 6 * side)
    tiles = mixed.unfold(2, side, side).unfold(3, side, side)  # b c h w p q
    plain = tiles.repeat(1, 1, 1, 1, grid, grid).transpose(3, 4).reshape(1, 3, 64, 96)
    vit, model = _vit(), _pevit(grid=grid, reference_encoding=False)
    model.load_state_dict(adapt_state_dict(vit.state_dict(), model)[0])
    torch.testing.assert_close(model.patch_embed(mixed), vit.patch_embed.proj(plain),
                               rtol=1e-4, atol=1e-4)


def test_grid_one_equals_the_blocks_of_timm():
    vit, model = _vit(), _pevit(grid=1, reference_encoding=False, out_indices=(0, 1, 2))
    missing = model.load_state_dict(adapt_state_dict(vit.state_dict(), model)[0])
    assert not missing.missing_keys
    assert not missing.unexpected_keys
    x = torch.randn(2, 3, 48, 64)
    tokens = vit.patch_embed.proj(x).flatten(2).transpose(1, 2)  # no class token, no position
    for i, (block, out) in enumerate(zip(vit.blocks, model(x), strict=True)):
        tokens = block(tokens)
        expected = vit.norm(tokens) if i == 2 else tokens
        torch.testing.assert_close(out.flatten(2).transpose(1, 2), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('options', [{}, dict(reg_tokens=2), dict(no_embed_class=True)])
def test_a_class_token_is_kept_with_its_own_position(tmp_path, options):
    """And a file of such a PEViT is loaded as it is."""
    vit, model = _vit(**options), _pevit(grid=1, class_token=True)
    adapted, report = adapt_state_dict(vit.state_dict(), model)
    own = 0 if options.get('no_embed_class') else vit.pos_embed[:, :1]
    torch.testing.assert_close(adapted['cls_token'], (vit.cls_token + own).detach())
    assert report.complete
    assert ('its position added' in report.adapted.values()) == (not isinstance(own, int))
    model.load_state_dict(adapted, strict=False)
    path = _saved(tmp_path, model.state_dict())
    again = _pevit(grid=1, class_token=True, init_cfg=dict(type='Pretrained', checkpoint=path))
    again.init_weights()
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)
    converted, report = to_pevit(vit.state_dict(), 'timm', ARCH, grid=1, class_token=True)
    torch.testing.assert_close(converted['cls_token'], adapted['cls_token'])
    assert report.config['backbone']['class_token']
    loaded = adapt_state_dict(_pevit(grid=1).state_dict(), model)[1]
    assert loaded.initialized == dict(cls_token='the checkpoint has no class token')


def test_a_frozen_embedding_freezes_the_class_token():
    model = _pevit(class_token=True, frozen_stages=0).train()
    assert not model.cls_token.requires_grad
    assert _pevit(class_token=True).train().cls_token.requires_grad


@pytest.mark.parametrize(('patch', 'grid'), [(8, 1), (8, 2), (32, 1), (32, 2), (32, 4), (8, 4)])
def test_kernels_of_other_patch_sizes_are_resampled(patch, grid):
    """Also 8x8 ones for a model whose mixed kernel happens to have 8x8."""
    state = _vit(patch).state_dict()
    adapted, report = adapt_state_dict(state, _pevit(grid=grid))
    expected = mix_kernel(resample_patch_embed(state[KERNEL], [16, 16]), grid)
    torch.testing.assert_close(adapted[KERNEL], expected)
    assert f'({patch}, {patch}), resampled to (16, 16)' in report.adapted[KERNEL]
    assert not report.missing
    assert not report.unexpected


@pytest.mark.parametrize('grid', [1, 2])
def test_a_pevit_is_copied_as_it_is(grid):
    source = _pevit(grid=grid)
    adapted, report = adapt_state_dict(source.state_dict(), _pevit(grid=grid))
    assert sorted(report.copied) == sorted(source.state_dict())
    assert not report.adapted
    assert not report.dropped
    assert not report.initialized
    torch.testing.assert_close(adapted, source.state_dict())


@pytest.mark.parametrize('prefix', ['', 'model.'])
def test_a_class_token_does_not_make_a_pevit_plain(prefix):
    """A classifier's 8x8 mixed kernel is copied: plain ViTs are known by their positions."""
    pevit = _pevit(grid=2).state_dict()
    classifier = {**pevit, 'cls_token': torch.zeros(1, 1, 24), 'head.weight': torch.zeros(5, 24),
                  'head.bias': torch.zeros(5)}
    adapted, report = adapt_state_dict({prefix + k: v for k, v in classifier.items()},
                                       _pevit(grid=2))
    assert report.complete
    assert report.adapted == {}
    torch.testing.assert_close(adapted, pevit, rtol=0, atol=0)
    assert report.dropped == {
        f'{prefix}cls_token': 'as a backbone, PEViT has no tokens but the patches',
        f'{prefix}head.weight': 'classification head', f'{prefix}head.bias': 'classification head'}


@pytest.mark.parametrize('mixed', [False, True])
def test_a_yolos_has_to_be_converted_first(mixed):
    layout = 'peyolos' if mixed else 'yolos'
    with pytest.raises(ValueError, match=rf'convert_checkpoint.py .* --source {layout}'):
        adapt_state_dict(ReleasedYOLOS(mixed=mixed).state_dict(), _pevit())


def test_a_pevit_for_plain_images_becomes_one_for_mixed_ones():
    state = _pevit(grid=1).state_dict()
    adapted, report = adapt_state_dict(state, _pevit(grid=4))
    torch.testing.assert_close(adapted[KERNEL], mix_kernel(state[KERNEL], 4))
    assert list(report.adapted) == [KERNEL]
    assert not report.unexpected


@pytest.mark.parametrize(('source', 'target'), [(2, 1), (2, 4), (4, 2)])
def test_a_pevit_of_another_grid_does_not_fit(tmp_path, source, target):
    path = _saved(tmp_path, _pevit(grid=source).state_dict())
    with pytest.raises(ValueError, match=rf'1 tensors missing, 1 unexpected, .*{KERNEL}'):
        load_pretrained(_pevit(grid=target), path)


@pytest.mark.parametrize('wrap', [
    lambda state: state,
    lambda state: dict(state_dict=state),
    lambda state: dict(model=state, epoch=300),
    lambda state: dict(model_ema=state),
    lambda state: dict(state_dict={f'backbone.{k}': v for k, v in state.items()},
                       meta=dict(epoch=1)),
    lambda state: dict(state_dict={f'model.{k}': v for k, v in state.items()}),
    lambda state: dict(ema_state_dict={'steps': torch.tensor(3), **{
        f'module.backbone.{k}': v for k, v in state.items()}}),
    lambda state: dict(state_dict=state, ema_state_dict={'steps': torch.tensor(3)}),
], ids=['bare', 'state_dict', 'model', 'model_ema', 'detector', 'wrapped', 'averaged', 'both'])
def test_common_wrappers_are_opened(tmp_path, wrap):
    state = _pevit().state_dict()
    model = _pevit()
    nn.init.zeros_(model.reference_encoding.reference)
    load_pretrained(model, _saved(tmp_path, wrap(state)))
    torch.testing.assert_close(model.state_dict(), state, rtol=0, atol=0)


def test_only_the_backbone_of_a_detector_is_taken(tmp_path):
    state = {f'backbone.{k}': v for k, v in _pevit().state_dict().items()}
    state |= {'neck.levels.0.weight': torch.zeros(2), 'bbox_head.bias': torch.zeros(1)}
    report = load_pretrained(_pevit(), _saved(tmp_path, dict(state_dict=state)))
    assert report.dropped == dict.fromkeys(
        ('neck.levels.0.weight', 'bbox_head.bias'), 'not of the backbone')
    assert not report.missing
    assert not report.unexpected


@pytest.mark.parametrize('name', ['weights.pth', 'weights.safetensors'])
def test_through_init_cfg(tmp_path, name, monkeypatch):
    printed = []
    monkeypatch.setattr('mmppvit.models.checkpoints.loading.print_log',
                        lambda text, **_: printed.append(text))
    state = {k: v.contiguous() for k, v in _vit().state_dict().items()}
    path = _saved(tmp_path, state, name)
    model = MODELS.build(dict(type='mmdet.PEViT', arch=ARCH, grid=2,
                              init_cfg=dict(type='Pretrained', checkpoint=path)))
    model.init_weights()
    torch.testing.assert_close(model.patch_embed.proj.weight.detach(),
                               mix_kernel(state[KERNEL], 2), rtol=0, atol=0)
    torch.testing.assert_close(model.blocks[2].mlp.fc2.weight.detach(),
                               state['blocks.2.mlp.fc2.weight'], rtol=0, atol=0)
    for line in (f'PEViT from {path}', 'copied       39 tensors', 'summed over 2x2 sub-kernels',
                 'dropped      pos_embed: PEViT knows no positions',
                 'left at init reference_encoding.fc1.bias'):
        assert line in printed[0]
    nn.init.zeros_(model.norm.weight)  # a second call must not undo what came after
    model.init_weights()
    assert (model.norm.weight == 0).all()
    assert len(printed) == 1


def test_as_part_of_a_larger_model(tmp_path):
    """A detector initializes its children and reports on every parameter."""
    from mmengine.model import BaseModule

    state = _vit().state_dict()
    detector = BaseModule()
    detector.backbone = _pevit(init_cfg=dict(
        type='Pretrained', checkpoint=_saved(tmp_path, state)))
    detector.init_weights()
    torch.testing.assert_close(detector.backbone.norm.weight.detach(), state['norm.weight'])
    assert detector.backbone.is_init


def test_fewer_outputs_need_fewer_blocks(tmp_path):
    model = _pevit(out_indices=1)
    report = load_pretrained(model, _saved(tmp_path, _vit().state_dict()))
    assert report.dropped['blocks.2.attn.qkv.weight'] == 'after the last block of out_indices'
    assert report.dropped['norm.weight'] == 'the model has no final norm'
    assert not report.missing
    assert not report.unexpected


@pytest.mark.parametrize(('vit', 'kwargs', 'named'), [
    (dict(embed_dim=48), dict(), r'\(24 channels, 3 blocks\).*(48|missing)'),
    (dict(depth=2), dict(), r'12 tensors missing, 0 unexpected, .*blocks.2.attn.proj.bias'),
    (dict(depth=4), dict(), r'0 tensors missing, 12 unexpected, .*blocks.3.'),
    (dict(mlp_ratio=2), dict(), r'9 tensors missing, 9 unexpected, .*blocks.0.mlp.fc1.bias'),
    (dict(in_chans=4), dict(), f'1 tensors missing, 1 unexpected, .*{KERNEL}'),
    (dict(qk_norm=True), dict(), r'0 tensors missing, 12 unexpected, .*blocks.0.attn.q_norm'),
], ids=['channels', 'fewer blocks', 'more blocks', 'mlp', 'image', 'qk norm'])
def test_another_arch_is_an_error_that_names_it(tmp_path, vit, kwargs, named):
    model = _pevit(**kwargs)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    path = _saved(tmp_path, _vit(**vit).state_dict())
    with pytest.raises(ValueError, match=rf'weights.pth does not fit this PEViT .*{named}') as info:
        load_pretrained(model, path)
    assert 'Choose the arch it was made for, or set init_cfg.allow_partial=True' in str(info.value)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_a_partial_load_must_be_asked_for(tmp_path):
    vit = _vit(depth=2)
    model = _pevit(init_cfg=dict(type='Pretrained', allow_partial=True,
                                 checkpoint=_saved(tmp_path, vit.state_dict())))
    last = model.blocks[2].attn.qkv.weight.clone()
    model.init_weights()
    torch.testing.assert_close(model.blocks[1].attn.qkv.weight, vit.blocks[1].attn.qkv.weight)
    torch.testing.assert_close(model.blocks[2].attn.qkv.weight, last)


def test_other_init_cfgs_are_mmengines():
    model = _pevit(init_cfg=dict(type='Constant', layer='Linear', val=.5))
    model.init_weights()
    assert (model.blocks[0].attn.qkv.weight == .5).all()
    assert not (model.patch_embed.proj.weight == .5).any()


def test_without_init_cfg_the_weights_stay():
    model = _pevit()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.init_weights()
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_loaded_models_are_still_position_free():
    model = _pevit(grid=2)
    model.load_state_dict(adapt_state_dict(_vit().state_dict(), model)[0], strict=False)
    x = torch.randn(1, 3, 16, 32)
    flipped = F.fold(F.unfold(x, 8, stride=8).flip(2), (16, 32), 8, stride=8)
    torch.testing.assert_close(model(flipped)[0], model(x)[0].flip(2, 3), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('prefix', ['teacher.', 'teacher'])
def test_a_prefix_selects_as_mmengines_does(tmp_path, prefix):
    state = _pevit().state_dict()
    other = {f'student.{name}': value + 1 for name, value in state.items()}
    path = _saved(tmp_path, {**other, **{f'teacher.{k}': v for k, v in state.items()}})
    model = PEViT(arch=ARCH, init_cfg=dict(type='Pretrained', checkpoint=path, prefix=prefix,
                                           map_location='cpu'))
    model.init_weights()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=0, atol=0)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(prefix='nobody.'), "no tensor below 'nobody.', .* it has \\['blocks'"),
    (dict(prefx='a'), r"takes checkpoint, prefix, .* got \['prefx'\]"),
])
def test_what_init_cfg_cannot_mean_is_one_clear_error(tmp_path, options, message):
    path = _saved(tmp_path, _pevit().state_dict())
    model = PEViT(arch=ARCH, init_cfg=dict(type='Pretrained', checkpoint=path, **options))
    with pytest.raises(ValueError, match=message):
        model.init_weights()
