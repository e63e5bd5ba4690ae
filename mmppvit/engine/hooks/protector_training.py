"""Checks while a protector is trained, and its file at the end."""
from __future__ import annotations

from pathlib import Path

import torch
from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from torch import nn

from mmppvit.engine.hooks.best_epoch import load_best
from mmppvit.models.classifiers.protected_classifier import ProtectedClassifier
from mmppvit.models.detectors import ProtectedDetector
from mmppvit.models.protectors import fingerprint, save_protector
from mmppvit.utils.unwrapping import unwrap_model
from mmppvit.utils.user_errors import RunError

__all__ = ['ProtectorHook']


@HOOKS.register_module()
class ProtectorHook(Hook):
    """Guard the training of a protector and write it to ``protector.safetensors`` at the end.

    For a :class:`ProtectedDetector` or a :class:`ProtectedClassifier`. No checkpoint is written,
    and so no good one replaced, if a weight is not finite, or if the frozen model has changed. The
    file is in the work folder, has the weights of the last iteration, and
    :func:`load_protector` reads it.

    Args:
        best (bool): Write the weights of the epoch that ``CheckpointHook.save_best`` chose, and not
            the last ones.
    """

    def __init__(self, best: bool = False) -> None:
        self.best = best

    def before_train(self, runner) -> None:
        """Remember the frozen model.

        Raises:
            TypeError: The model has no protector.
        """
        self._frozen = fingerprint(_frozen_part(unwrap_model(runner.model)).state_dict())

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check the weights that are about to be written.

        Raises:
            FloatingPointError: A weight is not finite.
            RuntimeError: The frozen model has changed since training began.
        """
        model = unwrap_model(runner.model)
        bad = [name for name, value in checkpoint['state_dict'].items()
               if not torch.isfinite(value).all()]
        if bad:
            raise FloatingPointError(
                f'{len(bad)} tensors of the protector are not finite ({bad[0]}, ...), training '
                'stops without a checkpoint of them. Lower optim_wrapper.optimizer.lr, or clip '
                'gradients with optim_wrapper.clip_grad, and go on with --resume')
        if fingerprint(_frozen_part(model).state_dict()) != self._frozen:
            kind = 'detector' if isinstance(model, ProtectedDetector) else 'classifier'
            raise RunError(f'the frozen {kind} has changed in training: some hook or module '
                           'of the config writes to its weights or buffers')

    def after_train(self, runner) -> None:
        """Write ``protector.safetensors``."""
        if is_main_process():
            path = Path(runner.work_dir) / 'protector.safetensors'
            if self.best:
                load_best(runner, unwrap_model(runner.model))
            save_protector(path, unwrap_model(runner.model).protector, self._frozen)
            print_log(f'the protector is in {path}', logger='current')


def _frozen_part(model: nn.Module) -> nn.Module:
    if isinstance(model, ProtectedDetector):
        return model.detector
    if isinstance(model, ProtectedClassifier):
        return model.classifier.model
    raise TypeError('ProtectorHook is for a ProtectedDetector or a ProtectedClassifier, and the '
                    f'model is a {type(model).__name__}: remove it from custom_hooks')
