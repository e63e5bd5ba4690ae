"""What a stock backbone and neck return: measured by running them without memory."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from io import StringIO

import torch
from mmdet.registry import MODELS

__all__ = ['Level', 'LevelsUnknown', 'measure_backbone', 'measure_neck']

SIDE = 512  # pixels of the dummy image: whole cells up to stride 512
# Operators that mmcv-lite lacks and that do not change any shape.
_SHAPELESS = ('dcn', 'plugins', 'gen_attention', 'gcb', 'sac', 'with_cp', 'init_cfg')


class LevelsUnknown(RuntimeError):  # noqa: N818  reads as what it says
    """A module that cannot be run by itself, so that nobody knows what maps it returns."""


@dataclass(frozen=True)
class Level:
    """One map of a pyramid.

    Args:
        channels (int): Its channels.
        stride (int): Pixels of the image per cell.
    """
    channels: int
    stride: int


def measure_backbone(cfg: dict) -> list[Level]:
    """Levels that ``MODELS.build(cfg)`` returns for an image."""
    cfg = {key: value for key, value in cfg.items() if key not in _SHAPELESS}
    return _measure(cfg, lambda device: torch.empty(1, 3, SIDE, SIDE, device=device))


def measure_neck(cfg: dict | list, levels: list[Level]) -> list[Level]:
    """Levels that ``MODELS.build(cfg)`` makes from ``levels``."""
    return _measure(cfg, lambda device: tuple(
        torch.empty(1, level.channels, SIDE // level.stride, SIDE // level.stride, device=device)
        for level in levels))


def _measure(cfg: dict | list, make_inputs: Callable) -> list[Level]:
    """On torch's meta device, which computes nothing, or else on the CPU."""
    try:
        outs = _run(cfg, make_inputs, 'meta')
    except Exception:  # whatever a foreign module raises where it needs real numbers
        try:
            outs = _run(cfg, make_inputs, 'cpu')
        except Exception as err:
            raise LevelsUnknown(f'{type(err).__name__}: {err}') from err
    outs = (outs, ) if isinstance(outs, torch.Tensor) else outs
    return [Level(out.shape[1], round(SIDE / out.shape[-1])) for out in outs]


def _run(cfg: dict | list, make_inputs: Callable, device: str):
    with torch.device(device), torch.no_grad(), redirect_stdout(StringIO()):
        module = MODELS.build(deepcopy(cfg))
        module.eval()  # not chained: MMDetection's ResNet.train returns None
        return module(make_inputs(device))
