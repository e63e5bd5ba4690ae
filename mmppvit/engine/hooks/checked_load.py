"""Checkpoints that fit, or say what does not."""
from __future__ import annotations

import logging

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmppvit.models.checkpoints import differences
from mmppvit.models.checkpoints.weight_sets import unwrap_names
from mmppvit.utils.unwrapping import unwrap_model

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
        model = runner.model
        model = unwrap_model(model)
        state = checkpoint.get('state_dict')
        if state is not None:  # MMEngine would take 'module.' away later, '_orig_mod.' never
            names = unwrap_names(state)
            state = checkpoint['state_dict'] = {names[name]: value for name, value in state.items()}
        problems = differences(checkpoint if state is None else state, model)
        if not problems:
            return
        text = 'the checkpoint does not fit the model:\n  ' + '\n  '.join(problems)
        if self.strict or runner._resume:
            raise ValueError(f'{text}\nUse the config that it was trained with.')
        print_log(f'{text}\nThe rest was loaded.', logger='current', level=logging.WARNING)
