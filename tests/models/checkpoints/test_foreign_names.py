"""Checkpoints of other projects: every tensor gets to its place, and nothing else does."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split

import pytest
import timm
import torch
from torch import Tensor

from mmppvit.models import PEViT
from mmppvit.models.checkpoints import (
    TableSizes,
    adapt_state_dict,
    read_state_dict,
    to_pevit,
    to_peyolos,
    write_state_dict,
)
from mmppvit.models.checkpoints.to_classifier import load_classifier
from tests.configs import pevit_release
from tests.models.checkpoints.layouts import (
    hugging_face_vit,
    hugging_face_yolos,
    openai_clip,
    released_pevit,
    timm_vit,
)
from tests.models.released_yolos import ReleasedYOLOS

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3)


def _mae() -> dict[str, Tensor]:
    """Pretrained whole: encoder, mask token and a decoder of its own width."""
    state = {name: value for name, value in timm_vit().items() if not name.startswith('head')}
    decoder = {f'decoder_blocks.0.norm1.{kind}': torch.randn(8) for kind in ('weight', 'bias')}
    return state | decoder | {'mask_token': torch.randn(1, 1, 8), 'decoder_embed.weight':
                              torch.randn(8, 24), 'decoder_pos_embed': torch.randn(1, 17, 8),
                              'decoder_norm.weight': torch.randn(8), 'decoder_pred.bias':
                              torch.randn(8)}


def _dinov2_registers() -> dict[str, Tensor]:
    """Its own names: ``register_tokens``, without rows in the table of positions."""
    state = timm_vit(init_values=1.)
    return state | {'register_tokens': torch.randn(1, 4, 24), 'mask_token': torch.randn(1, 24)}


def _deit3() -> dict[str, Tensor]:
    """``gamma_1`` and ``gamma_2``; positions of the patches alone."""
    state = {name.replace('ls1.gamma', 'gamma_1').replace('ls2.gamma', 'gamma_2'): value
             for name, value in timm_vit(init_values=1.).items()}
    return state | {'pos_embed': state['pos_embed'][:, 1:]}


FOREIGN = {'pevit': released_pevit, 'clip': openai_clip, 'hf-vit': hugging_face_vit}
SAME_NAMES = {'MAE': _mae, 'DINOv2 with registers': _dinov2_registers, 'DeiT III': _deit3}


def _transformers_5() -> dict[str, Tensor]:
    """Names of its modules; files keep those of transformers 4."""
    new = {'encoder.layer.': 'layers.', 'attention.attention.query': 'attention.q_proj',
           'attention.attention.key': 'attention.k_proj', 'intermediate.dense': 'mlp.fc1',
           'attention.attention.value': 'attention.v_proj',
           'attention.output.dense': 'attention.o_proj', 'output.dense': 'mlp.fc2'}
    state = {}
    for name, value in hugging_face_vit().items():
        for old, other in new.items():
            name = name.replace(old, other)
        state[name] = value
    return state


CASES = [*FOREIGN.items(), *(('timm', make) for make in SAME_NAMES.values()),
         ('hf-vit', _transformers_5)]
IDS = [*FOREIGN, *SAME_NAMES, 'transformers 5']


@pytest.mark.parametrize(('source', 'make'), CASES, ids=IDS)
def test_a_pevit_of_it(source, make):
    torch.manual_seed(1)
    state = make()
    converted, report = to_pevit(state, source, arch=ARCH, grid=1)
    model = PEViT(ARCH, grid=1)
    assert report.complete
    assert report.sources() == sorted(state)
    assert report.targets() == sorted(model.state_dict())
    direct, again = adapt_state_dict(state, model)  # init_cfg takes it without conversion
    assert again.complete
    assert direct.keys() == converted.keys()
    assert all(torch.equal(direct[name], value) for name, value in converted.items())


@pytest.mark.parametrize(('source', 'make'), [case for case in CASES if case[0] != 'pevit'],
                         ids=IDS[1:])
def test_a_peyolos_of_it(source, make):
    state = make()
    converted, report = to_peyolos(state, source, arch=ARCH, sizes=TableSizes(table=(64, 96)))
    assert report.complete
    assert report.sources() == sorted(state)
    assert converted['backbone.pos_embed'].shape == (1, 1 + 24 + 100, 24)


@pytest.mark.parametrize(('source', 'make'), [
    ('hf-vit', hugging_face_vit), ('hf-vit', _transformers_5), ('clip', openai_clip)])
def test_every_tensor_is_where_timm_has_it(source, make):
    converted, _ = to_pevit(make(), source, arch=ARCH, grid=1)
    names = timm_vit()  # which both are made from; it seeds itself
    for name, value in converted.items():
        assert torch.equal(value, names[name]), name
    assert set(converted) >= {name for name in names if name.startswith(('blocks.', 'norm.'))}


def test_the_report_says_what_clip_loses():
    _, report = to_pevit(openai_clip(), 'clip', arch=ARCH)
    assert 'need training' in report.dropped['visual.ln_pre.weight']
    assert report.initialized['patch_embed.proj.bias'] == 'CLIP has no such bias: 0'
    assert report.dropped['token_embedding.weight'] == 'not of the image tower'


@pytest.mark.parametrize('mid_table', [None, (64, 96)])
def test_yolos_of_hugging_face(mid_table):
    ours = ReleasedYOLOS(mid_table=mid_table).state_dict()
    state = hugging_face_yolos(ours)
    options = dict(arch=dict(ARCH, num_heads=2), nonlinear_embed=True,
                   sizes=TableSizes(init=(64, 96)))
    converted, report = to_peyolos(state, 'hf-yolos', **options)
    wanted, _ = to_peyolos(ours, 'yolos', **options)
    assert report.complete
    assert report.sources() == sorted(state)
    assert converted.keys() == wanted.keys()
    assert all(torch.equal(converted[name], value) for name, value in wanted.items())


def test_the_released_classifier_computes_the_same(tmp_path):
    """Under its names, with the forward pass written out, and here as a classifier of timm."""
    torch.manual_seed(0)
    state = {name: .3 * value for name, value in released_pevit().items()}
    path = tmp_path / 'released.pth'
    write_state_dict(str(path), state)
    model = timm.create_model('pevit_tiny_patch16_224', embed_dim=24, depth=3, num_heads=3,
                              num_classes=5).eval()
    load_classifier(model, str(path))
    images = torch.randn(2, 3, 64, 64)
    want = pevit_release.PEViT(state, 3, 16, 0.)(images)
    torch.testing.assert_close(model(images), want, atol=1e-5, rtol=1e-5)


def test_dinov2_as_it_was_published(find_real_weights):
    """Real weights, layer scale and all: the patch tokens that timm has if positions are 0."""
    state = read_state_dict(str(find_real_weights('vit_small_patch14_dinov2.safetensors')))
    model = PEViT('small', patch_size=14, grid=1, reference_encoding=False).eval()
    adapted, report = adapt_state_dict(state, model)
    assert report.complete
    assert sum('folded into' in why for why in report.dropped.values()) == 24
    model.load_state_dict(adapted)
    vit = timm.create_model('vit_small_patch14_dinov2', img_size=56, num_classes=0,
                            class_token=False, global_pool='avg', fc_norm=False).eval()
    own = {name: value for name, value in state.items() if name in vit.state_dict()}
    own['pos_embed'] = torch.zeros_like(vit.pos_embed)
    vit.load_state_dict(own)
    image = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        got, want = model(image)[0].flatten(2).transpose(1, 2), vit.forward_features(image)
    assert (got - want).norm() < 1e-5 * want.norm()
