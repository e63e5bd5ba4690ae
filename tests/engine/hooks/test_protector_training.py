"""The training of a protector: what its hook refuses to save, and what its optimizer is given."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmppvit.engine import ProtectorHook, TrainableOptimWrapperConstructor
from mmppvit.models import ProtectedDetector
from mmppvit.models.protectors import fingerprint, load_protector
from tests.models.tiny_detectors import model_config

PROTECTOR = dict(type='ProtectionUNet', arch=(4, 8))


@pytest.fixture
def model() -> ProtectedDetector:
    torch.manual_seed(0)
    return ProtectedDetector(model_config('ATSS'), protector=PROTECTOR, alpha=0., perceptual=None,
                             reconstructor=dict(network=PROTECTOR))


@pytest.fixture
def runner(model, tmp_path) -> SimpleNamespace:
    return SimpleNamespace(model=model, work_dir=str(tmp_path))


@pytest.fixture
def hook(runner) -> ProtectorHook:
    hook = ProtectorHook()
    hook.before_train(runner)
    return hook


def test_good_checkpoints_pass_and_the_protector_is_written(hook, runner, model, tmp_path):
    hook.before_save_checkpoint(runner, dict(state_dict=model.state_dict()))
    hook.after_train(runner)
    found = load_protector(tmp_path / 'protector.safetensors')
    assert found.made_for == fingerprint(model.detector.state_dict())
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(found.network(x), model.protector.eval()(x))


@pytest.mark.parametrize('value', ['nan', 'inf'])
def test_weights_that_are_not_finite_are_not_saved(value, hook, runner, model):
    model.protector.head.bias.data[0] = float(value)
    with pytest.raises(FloatingPointError, match=r'1 tensors .* not finite \(protector.head.bias, '
                       r'...\), training stops without a checkpoint of them'):
        hook.before_save_checkpoint(runner, dict(state_dict=model.state_dict()))


def test_a_detector_that_has_changed_is_told(hook, runner, model):
    next(model.detector.parameters()).data.view(-1)[0] += 1e-6
    with pytest.raises(RuntimeError, match='the frozen detector has changed'):
        hook.before_save_checkpoint(runner, dict(state_dict=model.state_dict()))


def test_other_models_are_refused():
    with pytest.raises(TypeError, match='is a Linear: remove it from custom_hooks'):
        ProtectorHook().before_train(SimpleNamespace(model=nn.Linear(1, 1)))


@pytest.mark.parametrize('paramwise_cfg', [
    None, {}, dict(norm_decay_mult=0.), dict(custom_keys=dict(reconstructor=dict(lr_mult=3.)))])
def test_only_what_learns_is_in_the_optimizer(paramwise_cfg, model):
    cfg = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=.1, weight_decay=.2),
               constructor=TrainableOptimWrapperConstructor, paramwise_cfg=paramwise_cfg)
    groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    given = {id(param): group for group in groups for param in group['params']}
    names = {name: given.pop(id(param)) for name, param in model.named_parameters()
             if param.requires_grad}
    assert not given
    for name, group in names.items():
        scale = 3. if 'custom_keys' in (paramwise_cfg or {}) and 'reconstructor' in name else 1.
        assert group['lr'] == pytest.approx(.1 * scale)
    norm = names['protector.encoders.0.0.1.weight']
    assert norm['weight_decay'] == (0. if 'norm_decay_mult' in (paramwise_cfg or {}) else .2)
