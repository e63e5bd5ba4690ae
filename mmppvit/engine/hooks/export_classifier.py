"""Weights of classifiers, written for timm."""
from __future__ import annotations

import os

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log

from mmppvit.engine.hooks.best_epoch import load_best
from mmppvit.models.checkpoints import write_state_dict
from mmppvit.utils.unwrapping import unwrap_model

__all__ = ['ExportClassifierHook']


@HOOKS.register_module()
class ExportClassifierHook(Hook):
    """Write the model under timm's own names when training ends: ``timm.create_model(NAME,
    checkpoint_path=FILE)`` reads it. With EMA, these are the averaged weights.

    Args:
        file (str): Name in the work folder.
        best (bool): Write the weights of the epoch that ``CheckpointHook.save_best`` chose, and not
            the last ones; the model has them from then on.
    """

    def __init__(self, file: str = 'classifier.safetensors', best: bool = False) -> None:
        self.file, self.best = file, best

    def after_train(self, runner) -> None:
        """Write the file, whole or not at all."""
        if not is_main_process():
            return
        averaged = [hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook)]
        model = averaged[0] if averaged else runner.model
        model = unwrap_model(model)
        if self.best:
            load_best(runner, model)
        path = os.path.join(runner.work_dir, self.file)
        write_state_dict(path, model.model.state_dict())
        print_log(f'weights for timm: {path}', logger='current')
