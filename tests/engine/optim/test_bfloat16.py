"""Mixed precision as the machine has it."""
from __future__ import annotations

import pytest
import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.config import Config
from torch import nn

from mmppvit.engine import BFloat16OptimWrapper, use_amp
from mmppvit.engine.optim import bfloat16


def _config(**kwargs) -> Config:
    return Config(dict(optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD'),
                                          **kwargs)))


@pytest.mark.parametrize(('gpu', 'fast', 'expected'), [
    (True, True, 'AmpOptimWrapper'), (False, True, 'BFloat16OptimWrapper'),
    (False, False, 'OptimWrapper')])
def test_amp_is_what_the_machine_has(monkeypatch, capsys, gpu, fast, expected):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    monkeypatch.setattr(bfloat16, 'has_fast_bfloat16', lambda: fast)
    cfg = _config(clip_grad=dict(max_norm=1))
    use_amp(cfg)
    assert cfg.optim_wrapper.type == expected
    assert ('no GPU' in capsys.readouterr().err) != gpu
    assert ('loss_scale' in cfg.optim_wrapper) == gpu
    assert cfg.optim_wrapper.clip_grad.max_norm == 1


def test_options_of_the_wrapper_for_gpus_are_left_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(bfloat16, 'has_fast_bfloat16', lambda: True)
    cfg = _config(loss_scale='dynamic', dtype='float16')
    use_amp(cfg)
    assert cfg.optim_wrapper.keys() == {'type', 'optimizer'}


def test_the_wrapper_computes_in_bfloat16_and_updates_in_float32():
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=.1)
    wrapper = OPTIM_WRAPPERS.build(dict(type='BFloat16OptimWrapper', optimizer=optimizer))
    assert isinstance(wrapper, BFloat16OptimWrapper)
    before = model.weight.clone()
    with wrapper.optim_context(model):
        out = model(torch.ones(2, 4))
        assert out.dtype == torch.bfloat16
        loss = out.float().square().sum()
    wrapper.update_params(loss)
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)
