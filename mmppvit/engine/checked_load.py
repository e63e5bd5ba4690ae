"""Checkpoints that fit, or say what does not."""
from __future__ import annotations

import logging

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

__all__ = ['CheckedLoadHook']


@HOOKS.register_module()
class CheckedLoadHook(Hook):
    """Compare a checkpoint with the model before MMEngine loads what happens to fit.

    Evaluating or resuming with weights of another model gives numbers that mean nothing, so
    there a difference is an error. ``load_from`` of a training run may well want a part, e.g.
    everything but a head with other classes: it is told what it got.

    Args:
        strict (bool): Treat every load as evaluation.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare ``checkpoint['state_dict']`` with the model's.

        Raises:
            ValueError: They differ, on evaluation or resume.
        """
        problems = _differences(checkpoint.get('state_dict', checkpoint), runner.model)
        if not problems:
            return
        text = 'the checkpoint does not fit the model:\n  ' + '\n  '.join(problems)
        if self.strict or runner._resume:
            raise ValueError(f'{text}\nUse the config that it was trained with.')
        print_log(f'{text}\nThe rest was loaded.', logger='current', level=logging.WARNING)


def _differences(state: dict, model: nn.Module) -> list[str]:
    """One line a kind of difference, with up to three examples."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in state.items()}
    reshaped = [f'{name} {given[name]}, the model has {own[name]}'
                for name in own.keys() & given.keys() if own[name] != given[name]]
    kinds = {
        'in the model only': own.keys() - given.keys(),
        'in the checkpoint only': given.keys() - own.keys(),
        'of another shape': reshaped,
    }
    return [f'{len(names)} tensors {kind}: ' + '; '.join(sorted(names)[:3]) +
            ('; ...' if len(names) > 3 else '') for kind, names in kinds.items() if names]
