"""Every kind of model of the configs on a GPU: the CPU's numbers, and mixed precision."""
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

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU here')


@pytest.fixture(autouse=True)
def _exact(monkeypatch):
    """Products in float32, so that what differs from the CPU is the order of sums."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    monkeypatch.setattr(torch.backends.cuda.matmul, 'allow_tf32', False)


@pytest.mark.parametrize('name', MODELS_OF_CONFIGS)
def test_the_numbers_are_those_of_the_cpu(name):
    torch.manual_seed(3)
    model, data = MODELS_OF_CONFIGS[name](), data_of(name)
    other = copy.deepcopy(model).cuda()
    total, found = step(model, data, torch.device('cpu'))
    its_total, its_found = step(other, data, torch.device('cuda', 0))
    assert its_total == pytest.approx(total, rel=1e-3)
    for one, its in zip(numbers_of(found), numbers_of(its_found), strict=True):
        if one.dtype == torch.bool:  # MMDetection pastes masks in another way off the CPU
            assert (one == its).float().mean() > .9
        elif one.dtype.is_floating_point:  # labels and boxes of equal scores may change places
            torch.testing.assert_close(its.sort(0)[0], one.sort(0)[0], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize('name', MODELS_OF_CONFIGS)
def test_mixed_precision(name, dtype):
    check_mixed_precision(name, 'cuda', dtype)
