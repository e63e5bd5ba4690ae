"""One forward and backward of a config, in a process of its own with limits."""
from __future__ import annotations

import multiprocessing
import random
import re
import resource
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope

from mmppvit.adapt.adaptation import adapt_stock, load_stock
from mmppvit.adapt.config_changes import CannotAdapt
from mmppvit.adapt.support_data import SHARE, shrink, use_images
from mmppvit.engine.hooks.frame_checks import check_preprocessor, check_steps, check_widths
from mmppvit.engine.hooks.stride_checks import MapChecks

__all__ = ['Outcome', 'limited', 'try_config']

# Seconds on the clock for one of the CPU: how busy a machine may be with other work.
PATIENCE = 8.
ARCH = dict(embed_dims=64, num_layers=2, num_heads=2)


@dataclass(frozen=True)
class Outcome:
    """What became of a config: 'works', 'refused', 'stock' (does not run itself) or 'fails'."""
    state: str
    detail: str = ''
    seconds: float = 0.


def try_config(name: str, folder: Path, keep_backbone: bool = False,
               share: float = SHARE) -> Outcome:
    """Adapt, build and run a config; if that fails, the stock one, to know whose fault it is.

    Args:
        name (str): As for :func:`mmppvit.adapt.adapt_config`.
        folder (Path): From :func:`mmppvit.adapt.support_data.write_images`.
        keep_backbone (bool): Keep the stock backbone.
        share (float): Of the sides of images.
    """
    start = time.monotonic()
    try:
        stock = use_images(shrink(load_stock(name), share), folder)
        adapted = adapt_stock(stock, arch=ARCH, keep_backbone=keep_backbone)
    except CannotAdapt as err:
        return Outcome('refused', str(err), time.monotonic() - start)
    try:
        detail = run_once(adapted.config, guard=True)
        return Outcome('works', detail, time.monotonic() - start)
    except Exception as err:
        failed = _reason(err)
    try:
        run_once(stock, guard=False)
    except Exception as err:
        return Outcome('stock', _reason(err), time.monotonic() - start)
    return Outcome('fails', failed, time.monotonic() - start)


def _reason(err: Exception) -> str:
    frame = traceback.extract_tb(err.__traceback__)[-1]
    text = ' '.join(str(err).split()).split('. ')[0][:240]
    return f'{type(err).__name__}: {text} ({Path(frame.filename).name})'


def run_once(cfg: Config, guard: bool) -> str:
    """Losses and gradients on two images, then predictions for one; returns the losses' names.

    Raises:
        ValueError: Losses or gradients are not finite, nothing reaches the backbone, or the
            guard finds numbers that do not fit.
    """
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    hub = MessageHub.get_current_instance()
    for name in ('iter', 'epoch'):  # as the loop of a runner does
        hub.update_info(name, 0)
    hub.update_info('max_iters', 1000)
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = pseudo_collate([dataset[i % len(dataset)] for i in range(2)])
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    model.train()
    if guard:
        check_steps(dataset, model, 'train_dataloader')
        check_preprocessor(model, set())
        check_widths(model)
        MapChecks(model).register()
    data = model.data_preprocessor(batch, True)
    loss, parts = model.parse_losses(model(**data, mode='loss'))
    if not torch.isfinite(loss):
        raise ValueError(f'the loss is not finite: {parts}')
    loss.backward()
    _check_gradients(model)
    _predict(cfg, model, guard)
    return ', '.join(dict.fromkeys(re.sub(r'^([a-z]+\d+\.)+|_\d+$', '', key) for key in parts
                                   if key != 'loss'))


def _check_gradients(model: torch.nn.Module) -> None:
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    if not any('backbone.' in name and grad.abs().sum() > 0 for name, grad in gradients.items()):
        raise ValueError('no gradient reaches the backbone')
    bad = [name for name, grad in gradients.items() if not torch.isfinite(grad).all()]
    if bad:
        raise ValueError(f'gradients of {bad[:3]} are not finite')


def _predict(cfg: Config, model: torch.nn.Module, guard: bool) -> None:
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    if guard:
        check_steps(dataset, model, 'val_dataloader')
    model.eval()
    with torch.no_grad():
        data = model.data_preprocessor(pseudo_collate([dataset[0]]), False)
        model(**data, mode='predict')


def limited(call: Callable, *args, seconds: float, gigabytes: float):
    """``call(*args)`` in a forked process.

    Args:
        call (Callable): Its result has to be one that can be pickled.
        *args: Its arguments.
        seconds (float): Of the CPU; on the clock ``PATIENCE`` times as many.
        gigabytes (float): Of address space.

    Returns:
        What the call returns, or an Outcome 'fails' if it takes too long or too much memory.
    """
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, seconds, gigabytes, call, *args))
    process.start()
    sender.close()
    try:
        if receiver.poll(seconds * PATIENCE):
            return receiver.recv()
        return Outcome('fails', f'takes longer than {seconds * PATIENCE:g} s', seconds)
    except EOFError:
        process.join()
        if -process.exitcode in (signal.SIGXCPU, signal.SIGKILL):
            return Outcome('fails', f'takes longer than {seconds:g} s of the CPU', seconds)
        return Outcome('fails', f'the process ended with status {process.exitcode}')
    finally:
        process.kill()
        process.join()


def _send(sender, seconds: float, gigabytes: float, call: Callable, *args) -> None:
    memory, time_limit = int(gigabytes * 2**30), max(1, round(seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (time_limit, time_limit + 1))
    try:
        sender.send(call(*args))
    except Exception as err:
        sender.send(Outcome('fails', _reason(err)))
