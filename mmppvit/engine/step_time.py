"""How long a training step takes on this machine, found out by training a little."""
from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from copy import deepcopy

import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, autocast

__all__ = ['count_images', 'seconds_per_step']


def seconds_per_step(cfg: Config, warm_up: int = 2, timed: int = 8) -> float:
    """Median seconds of a training step of ``cfg``, data loading included.

    Args:
        cfg (Config): Of a training.
        warm_up (int): Steps that are not counted.
        timed (int): Steps that are.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    device = get_device()
    model = MODELS.build(cfg.model).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    loader = cfg.train_dataloader.copy()
    loader.update(num_workers=0, persistent_workers=False)
    spent = []
    mixed = cfg.optim_wrapper.type != 'OptimWrapper'
    batches = _first(Runner.build_dataloader(loader, seed=0), warm_up + timed)
    start = time.perf_counter()
    for batch in batches:
        with autocast(enabled=mixed, dtype=torch.bfloat16 if device == 'cpu' else None):
            losses = model(**model.data_preprocessor(batch, True), mode='loss')
            loss, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        spent.append(time.perf_counter() - start)
        start = time.perf_counter()
    return statistics.median(spent[warm_up:] or spent)


def _first(loader, count: int) -> Iterator[dict]:
    """``count`` batches, from the start again where there are fewer."""
    done = 0
    while done < count:
        for batch in loader:
            yield batch
            done += 1
            if done == count:
                return


def count_images(dataloader: dict) -> int:
    """Images of the data set of a data loader's config."""
    return len(DATASETS.build(deepcopy(dataloader['dataset'])))
