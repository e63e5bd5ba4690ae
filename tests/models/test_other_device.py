"""Every kind of model of the configs makes its tensors where its input is, and trains in AMP."""
from __future__ import annotations

import copy

import pytest
import torch

from tests.models.models_of_configs import (
    MODELS_OF_CONFIGS,
    check_mixed_precision,
    data_of,
    numbers_of,
    step,
)
from tests.models.other_device import OTHER, MixedDevicesError, other_device

if tuple(map(int, torch.__version__.split('.')[:2])) < (2, 13):
    pytest.skip('what the second device takes from PyTorch is of 2.13', allow_module_level=True)

@pytest.mark.parametrize('name', MODELS_OF_CONFIGS)
def test_nothing_is_made_on_another_device(name):
    """And so the numbers are the same as well."""
    torch.manual_seed(3)
    model, data = MODELS_OF_CONFIGS[name](), data_of(name)
    other = copy.deepcopy(model)
    total, found = step(model, data, torch.device('cpu'))
    with other_device():
        other.to(OTHER)
        its_total, its_found = step(other, data, OTHER)
        its_found = numbers_of(its_found)
    assert its_total == pytest.approx(total, rel=1e-5)
    for one, its in zip(numbers_of(found), its_found, strict=True):
        if one.dtype == torch.bool:  # MMDetection pastes masks in another way off the CPU
            assert (one == its).float().mean() > .9
        else:
            torch.testing.assert_close(its, one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('name', 'dtype'), [
    *((name, torch.bfloat16) for name in (
        'ATSS', 'DETR', 'PEYOLOS', 'TimmClassifier', 'ProtectedClassifier')),
    ('PEYOLOS', torch.float16), ('TimmClassifier', torch.float16)], ids=str)
def test_autocast(name, dtype):
    check_mixed_precision(name, 'cpu', dtype)


def test_the_other_device_refuses_to_mix():
    with other_device():
        there = torch.ones(3).to(OTHER)
        assert (there + torch.tensor(2.)).device == OTHER
        assert there[torch.tensor([0, 2])].tolist() == [1, 1]
        assert torch.tensor([1, 2], device=OTHER).device == there.new_zeros(1).device == OTHER
        for mixed in (lambda: there + torch.ones(3), lambda: torch.cat([there, torch.ones(1)]),
                      lambda: torch.where(torch.ones(3, dtype=torch.bool), there, there),
                      lambda: torch.ones(3)[there.long()], lambda: there.mul_(torch.ones(3))):
            with pytest.raises(MixedDevicesError):
                mixed()
        there.requires_grad_()
        (there * 2).sum().backward()
        assert there.grad.device == OTHER
