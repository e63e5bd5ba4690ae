"""How much this machine can train in the time there is, found out by training a little."""
from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, autocast

__all__ = ['choose_epochs', 'seconds_per_step']

WARM_UP, TIMED = 2, 8  # steps
FEWEST, MOST = 2, 36  # epochs
SCORING = 1.2  # epochs' worth of time that start-up and evaluation take


def seconds_per_step(cfg: Config) -> float:
    """Median seconds of a training step of ``cfg``, data loading included."""
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    device = get_device()
    model = MODELS.build(cfg.model).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    loader = cfg.train_dataloader.copy()
    loader.update(num_workers=0, persistent_workers=False)
    spent = []
    mixed = cfg.optim_wrapper.type != 'OptimWrapper'
    for batch in _first(Runner.build_dataloader(loader, seed=0), WARM_UP + TIMED):
        start = time.perf_counter()
        with autocast(enabled=mixed, dtype=torch.bfloat16 if device == 'cpu' else None):
            losses = model(**model.data_preprocessor(batch, True), mode='loss')
            loss, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent[WARM_UP:] or spent)


def _first(loader, count: int) -> Iterator[dict]:
    """``count`` batches, from the start again where there are fewer."""
    done = 0
    while done < count:
        for batch in loader:
            yield batch
            done += 1
            if done == count:
                return


def choose_epochs(step: float, steps_per_epoch: int, seconds: float) -> int:
    """Whole epochs that fit into ``seconds``, their start-up and evaluation included.

    Args:
        step (float): Seconds of a training step.
        steps_per_epoch (int): How many make an epoch.
        seconds (float): That there are for training.
    """
    fit = seconds / (step * steps_per_epoch) - SCORING
    return int(min(max(fit, FEWEST), MOST))
