"""Checkpoints of others for PEViT."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import timm
import torch

from mmppvit.models import PEViT
from mmppvit.models.checkpoints import load_pretrained, mix_kernel, to_pevit, write_state_dict
from tests.models.checkpoints.layouts import detectron2_vitdet, mmdet_vitdet, timm_vit
from tests.models.released_yolos import ReleasedYOLOS

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3)
KERNEL = 'patch_embed.proj.weight'


def _check(state, converted, report, model) -> None:
    """Every tensor has one fate, and what was written is all of the model but its new parts."""
    assert report.complete
    assert report.sources() == sorted(state)
    assert len(set(report.sources())) == len(report.sources())
    assert report.targets() == sorted(model.state_dict())
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    assert all(shapes[name] == value.shape for name, value in converted.items())
    assert model.state_dict().keys() - converted.keys() <= report.initialized.keys()


@pytest.mark.parametrize('grid', [1, 2])
@pytest.mark.parametrize('name', ['deit_tiny_patch16_224', 'deit_tiny_distilled_patch16_224'])
def test_deit_leaves_nothing_unexplained(name, grid):
    state = timm.create_model(name, pretrained=False).state_dict()
    converted, report = to_pevit(state, 'deit', grid=grid)
    assert report.config['backbone'] == dict(
        type='PEViT', arch='tiny', patch_size=16, grid=grid, nonlinear_embed=False)
    _check(state, converted, report, PEViT('tiny', grid=grid))
    torch.testing.assert_close(converted[KERNEL], mix_kernel(state[KERNEL], grid))
    assert (KERNEL in report.adapted) == (grid > 1)
    assert all(name.startswith('reference_encoding.') for name in report.initialized)


@pytest.mark.parametrize('state', [mmdet_vitdet, detectron2_vitdet,
                                   lambda: detectron2_vitdet('model.')],
                         ids=['mmdet', 'detectron2', 'wrapped'])
def test_vitdet(state):
    state = state()
    model = PEViT(ARCH)
    converted, report = to_pevit(state, 'vitdet', arch=ARCH)
    _check(state, converted, report, model)
    reasons = {name.removeprefix('model.'): why for name, why in report.dropped.items()}
    for name, why in reasons.items():
        if 'rel_pos' in name:
            assert why == 'relative positions: attention here has none'
        elif 'pos_embed' in name:
            assert why == 'PEViT knows no positions'
        else:
            assert why == 'not of the backbone'
    # A layer norm starts as this, which is why it may be written for a model that needs one.
    torch.testing.assert_close(converted['norm.weight'], torch.ones(24))
    torch.testing.assert_close(converted['norm.bias'], torch.zeros(24))
    assert 'no final norm' in report.initialized['norm.weight']


@pytest.mark.parametrize('nonlinear', [False, True])
def test_yolos(nonlinear):
    state = ReleasedYOLOS(mid_table=(32, 32)).state_dict()
    converted, report = to_pevit(state, 'yolos', nonlinear_embed=nonlinear)
    _check(state, converted, report, PEViT({**ARCH, 'num_heads': 2}, nonlinear_embed=nonlinear))
    torch.testing.assert_close(converted[KERNEL], mix_kernel(state[f'backbone.{KERNEL}'], 2))
    assert ('patch_embed.mixer.1.weight' in report.initialized) == nonlinear
    assert report.dropped['backbone.det_token'] != report.dropped['class_embed.layers.0.bias']


def test_released_peyolos_keeps_its_embedding():
    state = ReleasedYOLOS(mixed=True).state_dict()
    converted, report = to_pevit(state, 'peyolos', nonlinear_embed=True)
    _check(state, converted, report, PEViT(ARCH, nonlinear_embed=True))
    assert not report.adapted
    embed = 'backbone.patch_embed.proj'
    for ours, theirs in ((KERNEL, f'{embed}_siat.weight'),
                         ('patch_embed.mixer.1.weight', f'{embed}_siat_embed.weight')):
        assert torch.equal(converted[ours], state[theirs])
        assert report.renamed[theirs] == ours
    assert 'patch_embed' not in ' '.join(report.dropped)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(), 'nonlinear and cannot be made linear: use --nonlinear-embed'),
    (dict(nonlinear_embed=True, grid=1), '--patch-size 16 --grid 2, and cannot be'),
    (dict(nonlinear_embed=True, patch_size=8, grid=1), '--patch-size 16 --grid 2, and cannot be'),
    (dict(nonlinear_embed=True, patch_size=32, grid=4), '--patch-size 16 --grid 2, and cannot be'),
])
def test_released_peyolos_can_be_nothing_else(options, message):
    with pytest.raises(ValueError, match=message):
        to_pevit(ReleasedYOLOS(mixed=True).state_dict(), 'peyolos', **options)


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
@pytest.mark.parametrize(('source', 'state', 'nonlinear'), [
    ('timm', timm_vit, False),
    ('vitdet', mmdet_vitdet, False),
    ('yolos', ReleasedYOLOS().state_dict, True),
    ('peyolos', ReleasedYOLOS(mixed=True).state_dict, True),
])
def test_the_file_goes_through_init_cfg(tmp_path, source, state, nonlinear, name):
    converted, _ = to_pevit(state(), source, nonlinear_embed=nonlinear)
    write_state_dict(tmp_path / name, converted)
    model = PEViT(ARCH, nonlinear_embed=nonlinear)
    report = load_pretrained(model, str(tmp_path / name))
    assert sorted(report.copied) == sorted(converted)
    assert not report.adapted
    loaded = model.state_dict()
    for key, value in converted.items():
        assert torch.equal(loaded[key], value)


def test_a_pevit_brings_its_reference_along():
    state = PEViT(ARCH, grid=1).state_dict()
    converted, report = to_pevit({f'backbone.{k}': v for k, v in state.items()}, 'timm', grid=4)
    assert not report.initialized
    assert list(report.adapted) == [f'backbone.{KERNEL}']
    assert torch.equal(converted['reference_encoding.reference'],
                       state['reference_encoding.reference'])


@pytest.mark.parametrize(('vit', 'arch', 'problem'), [
    (dict(), {**ARCH, 'num_layers': 4}, 'blocks.3.attn.proj.bias'),
    (dict(), {**ARCH, 'num_layers': 2}, 'blocks.2.norm1.weight'),
    (dict(), 'tiny', 'blocks.0.attn.proj.bias'),
    (dict(qkv_bias=False), None, 'blocks.0.attn.qkv.bias'),
])
def test_what_does_not_fit_is_in_the_account(vit, arch, problem):
    report = to_pevit(timm_vit(**vit), 'timm', arch=arch)[1]
    assert not report.complete
    assert any(line.startswith(problem) for line in report.problems)
    assert problem in str(report)


def test_a_vit_of_other_blocks():
    state = {name.replace('mlp.fc1', 'mlp.w12'): value for name, value in timm_vit().items()}
    with pytest.raises(ValueError, match=r"no blocks.0.mlp.fc1.weight: it is not of a ViT with "
                       "timm's blocks"):
        to_pevit(state, 'timm')
