"""What a checkpoint lacks is told, and refused where the number would mean nothing."""
from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseTTAModel, MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn

from mmppvit.engine import CheckedLoadHook


def _runner(model, resume=False):
    return SimpleNamespace(model=model, _resume=resume)


def _net(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(2, width), nn.Linear(width, 1))


@contextmanager
def _logged() -> Iterator[list[logging.LogRecord]]:
    """Records of MMEngine's current logger, which a runner makes."""
    logger, handler, records = MMLogger.get_current_instance(), logging.Handler(), []
    handler.emit = records.append
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


@pytest.mark.parametrize('wrap', [lambda state: dict(state_dict=state, meta={}), lambda x: x],
                         ids=['whole', 'bare'])
def test_a_fitting_checkpoint_passes_in_silence(wrap):
    net = _net()
    with _logged() as records:
        CheckedLoadHook(strict=True).after_load_checkpoint(_runner(net), wrap(net.state_dict()))
    assert records == []


@pytest.mark.parametrize(('strict', 'resume'), [(True, False), (False, True)])
def test_differences_are_an_error(strict, resume):
    state = _net(width=4).state_dict()
    state['head.weight'] = state.pop('1.bias')
    with pytest.raises(ValueError, match=r'1 tensors in the model only: 1.bias\n'
                       r'  1 tensors in the checkpoint only: head.weight\n'
                       r'  3 tensors of another shape: 0.bias \(4,\), the model has \(3,\)'):
        CheckedLoadHook(strict).after_load_checkpoint(
            _runner(_net(), resume), dict(state_dict=state))


def test_load_from_takes_a_part_and_warns():
    state = _net(width=4).state_dict()
    with _logged() as records:
        CheckedLoadHook().after_load_checkpoint(_runner(_net()), dict(state_dict=state))
    (record, ) = records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        'the checkpoint does not fit the model:\n  3 tensors of another shape: '
        '0.bias (4,), the model has (3,); 0.weight (4, 2), the model has (3, 2); '
        '1.weight (1, 4), the model has (1, 3)\nThe rest was loaded.')


@pytest.mark.parametrize(('count', 'said'), [(2, 'b0; b1'), (3, 'b0; b1; b2'),
                                             (4, 'b0; b1; b2; ...')])
def test_three_examples_of_a_kind_are_named(count, said):
    net = _net()
    state = net.state_dict() | {f'b{i}': torch.zeros(1) for i in range(count)[::-1]}
    with pytest.raises(ValueError, match='checkpoint only') as caught:
        CheckedLoadHook(strict=True).after_load_checkpoint(_runner(net), dict(state_dict=state))
    assert str(caught.value) == (
        f'the checkpoint does not fit the model:\n  {count} tensors in the checkpoint only: {said}'
        '\nUse the config that it was trained with.')


class _TTA(BaseTTAModel):
    """Test-time augmentation wraps the model, maybe above a wrapper for several processes."""

    def __init__(self, module: nn.Module) -> None:
        nn.Module.__init__(self)
        self.module = module

    def merge_preds(self, data_samples_list):
        return data_samples_list


class _Distributed(MMDistributedDataParallel):

    def __init__(self, module: nn.Module) -> None:
        nn.Module.__init__(self)  # without processes that it would wait for
        self.module = module


@pytest.mark.parametrize('wrap', [_TTA, _Distributed, lambda net: _TTA(_Distributed(net))],
                         ids=['TTA', 'distributed', 'both'])
def test_wrapped_models_are_compared_without_the_wrapper(wrap):
    hook, net = CheckedLoadHook(strict=True), _net()
    assert all(name.startswith('module.') for name in wrap(net).state_dict())
    hook.after_load_checkpoint(_runner(wrap(net)), net.state_dict())
    with pytest.raises(ValueError, match='3 tensors of another shape'):
        hook.after_load_checkpoint(_runner(wrap(net)), _net(width=4).state_dict())


def _load(tmp_path, net: nn.Module, **options) -> list[logging.LogRecord]:
    """Load with a runner of MMEngine's the checkpoint of a head of another width."""
    torch.save(dict(state_dict=_net(width=3).state_dict() | {'1.weight': torch.zeros(2, 3)}),
               tmp_path / 'other.pth')
    runner = Runner(net, str(tmp_path), custom_hooks=[dict(type='CheckedLoadHook')],
                    load_from=str(tmp_path / 'other.pth'), default_scope='mmdet',
                    experiment_name=tmp_path.name, **options)
    with _logged() as records:
        runner.load_or_resume()
    return [record for record in records if 'does not fit' in record.getMessage()]


def test_a_runner_loads_the_rest_and_warns_once(tmp_path):
    net = _net()
    head = net[1].weight.clone()
    (record, ) = _load(tmp_path, net)
    assert record.levelno == logging.WARNING
    saved = torch.load(tmp_path / 'other.pth', weights_only=True)['state_dict']
    torch.testing.assert_close(net[0].weight.cpu(), saved['0.weight'])
    torch.testing.assert_close(net[1].weight.cpu(), head)


def test_a_runner_that_resumes_ends_before_it_loads(tmp_path):
    net = _net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ValueError, match=r'does not fit the model:\n  1 tensors of another shape'):
        _load(tmp_path, net, resume=True)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value.cpu(), before[name])


@pytest.mark.parametrize('prefix', ['module.', '_orig_mod.', 'module._orig_mod.'])
def test_names_that_training_wrapped_are_unwrapped_before_the_comparison(prefix):
    """MMEngine strips 'module.' after its hooks have run."""
    model = torch.nn.Linear(2, 3)
    state = {prefix + name: value + 1 for name, value in model.state_dict().items()}
    checkpoint = dict(state_dict=state)
    CheckedLoadHook(strict=True).after_load_checkpoint(_runner(model), checkpoint)
    model.load_state_dict(checkpoint['state_dict'])
    torch.testing.assert_close(model.weight, state[f'{prefix}weight'])
