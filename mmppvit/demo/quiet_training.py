"""Training with one line an epoch, while everything else goes to a file."""
from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import TextIO

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

__all__ = ['clock', 'quiet_console', 'train']


class ConsoleProgress(Hook):
    """One line an epoch on ``stream``, while MMEngine's own log goes to a file."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.metrics: dict = {}

    def before_train(self, runner: Runner) -> None:
        self.start = time.time()

    def before_train_epoch(self, runner: Runner) -> None:
        self.losses: list[float] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        self.losses.append(float(outputs['loss']))
        last = batch_idx + 1 == len(runner.train_dataloader)
        if not last and not self.stream.isatty():
            return
        spent = time.time() - self.start
        left = spent * (runner.max_iters / (runner.iter + 1) - 1)
        text = (f'  epoch {runner.epoch + 1:2d}/{runner.max_epochs}  '
                f'step {batch_idx + 1:3d}/{len(runner.train_dataloader)}  '
                f'loss {np.mean(self.losses):.3f}  {clock(spent)} spent, {clock(left)} left')
        print(text, end='\n' if last else '\r', file=self.stream, flush=True)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self.metrics = dict(metrics or {})


def clock(seconds: float) -> str:
    """'03:25'."""
    return str(timedelta(seconds=round(seconds)))[2:]


@contextmanager
def quiet_console(log: Path) -> Iterator[TextIO]:
    """Send what libraries print to ``log``; yields the real console."""
    console = sys.stdout
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'w') as file, redirect_stdout(file), redirect_stderr(file), \
            warnings.catch_warnings():
        yield console
        logging.shutdown()


def train(cfg: Config, console: TextIO) -> tuple[Runner, dict, Path]:
    """The runner, metrics after the last epoch, and the checkpoint."""
    progress = ConsoleProgress(console)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(progress)
    runner.train()
    return runner, progress.metrics, Path(cfg.work_dir) / f'epoch_{runner.max_epochs}.pth'
