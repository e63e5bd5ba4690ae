"""What a checkpoint lacks is told, and refused where the number would mean nothing."""
from __future__ import annotations

from types import SimpleNamespace

from mmppvit.engine import CheckedLoadHook

import pytest
from torch import nn


def _runner(model, resume=False):
    return SimpleNamespace(model=model, _resume=resume)


def _net(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(2, width), nn.Linear(width, 1))


def test_a_fitting_checkpoint_passes_in_silence(logged):
    net = _net()
    CheckedLoadHook(strict=True).after_load_checkpoint(
        _runner(net), dict(state_dict=net.state_dict()))
    assert logged == []


@pytest.mark.parametrize(('strict', 'resume'), [(True, False), (False, True)])
def test_differences_are_an_error(strict, resume):
    state = _net(width=4).state_dict()
    state['head.weight'] = state.pop('1.bias')
    with pytest.raises(ValueError, match=r'1 tensors in the model only: 1.bias\n'
                       r'  1 tensors in the checkpoint only: head.weight\n'
                       r'  3 tensors of another shape: 0.bias \(4,\), the model has \(3,\)'):
        CheckedLoadHook(strict).after_load_checkpoint(
            _runner(_net(), resume), dict(state_dict=state))


def test_load_from_takes_a_part_and_says_so(logged):
    CheckedLoadHook().after_load_checkpoint(
        _runner(_net()), dict(state_dict=_net(width=4).state_dict()))
    assert len(logged) == 1
    assert 'of another shape' in logged[0]
    assert 'The rest was loaded' in logged[0]


@pytest.fixture
def logged(monkeypatch) -> list[str]:
    """What the hook logs."""
    lines: list[str] = []
    monkeypatch.setattr('mmppvit.engine.checked_load.print_log',
                        lambda text, **kwargs: lines.append(text))
    return lines
