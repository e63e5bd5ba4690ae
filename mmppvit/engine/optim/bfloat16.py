"""Mixed precision without a GPU."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner.amp import autocast
from torch import nn

from mmppvit.utils.cpu_features import has_fast_bfloat16

__all__ = ['BFloat16OptimWrapper', 'use_amp']


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Forward and loss in bfloat16 autocast, weights and their updates in float32.

    mmengine's ``AmpOptimWrapper`` refuses to run without a GPU. bfloat16 has the exponents of
    float32, so that no loss scaling is needed, on a GPU or elsewhere.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def use_amp(cfg: Config) -> None:
    """Train in the mixed precision that this machine has, if any; ``cfg`` is changed in place.

    A GPU trains in float16 with a dynamic loss scale, a CPU with fast bfloat16 in that; elsewhere
    training stays in float32, which is said.
    """
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    elif has_fast_bfloat16():
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
        for name in ('loss_scale', 'dtype', 'use_fp64'):  # of AmpOptimWrapper
            cfg.optim_wrapper.pop(name, None)
        print('--amp: no GPU here, training in bfloat16', file=sys.stderr)
    else:
        print('--amp: no GPU here and no fast bfloat16, training in float32', file=sys.stderr)
