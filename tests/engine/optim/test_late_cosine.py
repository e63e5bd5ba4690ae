"""The schedule that is one epoch late, against its definition."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import math

import pytest
import torch
from mmengine.registry import PARAM_SCHEDULERS


def _rates(epochs: int, base: list[float], stop: int | None = None, **kwargs) -> list[list[float]]:
    groups = [dict(params=[torch.nn.Parameter(torch.zeros(1))], lr=lr) for lr in base]
    optimizer = torch.optim.SGD(groups)
    scheduler = PARAM_SCHEDULERS.build(dict(type='LateCosineLR', optimizer=optimizer, **kwargs))
    rates = []
    for epoch in range(epochs):
        if epoch == stop:  # a new process goes on
            state, saved = scheduler.state_dict(), optimizer.state_dict()
            optimizer = torch.optim.SGD([dict(params=[torch.nn.Parameter(torch.zeros(1))], lr=lr)
                                         for lr in base])
            scheduler = PARAM_SCHEDULERS.build(
                dict(type='LateCosineLR', optimizer=optimizer, **kwargs))
            optimizer.load_state_dict(saved)
            scheduler.load_state_dict(state)
        rates.append([group['lr'] for group in optimizer.param_groups])
        scheduler.step()
    return rates


@pytest.mark.parametrize('stop', [None, 1, 7])
@pytest.mark.parametrize('warmup', [0, 5])
def test_every_epoch(warmup, stop):
    epochs, least, start, base = 20, 1e-5, 1e-6, [1e-3, 2e-4]
    got = _rates(epochs, base, stop, T_max=epochs, eta_min=least, warmup_epochs=warmup,
                 warmup_lr=start)
    for epoch, rates in enumerate(got):
        late = max(epoch - 1, 0)
        for lr, rate in zip(base, rates, strict=True):
            want = start + (lr - start) * late / warmup if late < warmup else \
                least + (lr - least) * .5 * (1 + math.cos(math.pi * late / epochs))
            assert rate == pytest.approx(want, rel=1e-12)
    assert got[0] == got[1]


def test_only_by_epoch():
    with pytest.raises(ValueError, match='by_epoch=True'):
        _rates(1, [1.], T_max=1, eta_min=0., by_epoch=False)
