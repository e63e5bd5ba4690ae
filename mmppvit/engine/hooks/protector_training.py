"""Training of a protector: what must hold while it runs, and the file that comes out."""
from __future__ import annotations

from pathlib import Path

import torch
from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmppvit.models.detectors import ProtectedDetector
from mmppvit.models.protectors import fingerprint, save_protector
from mmppvit.utils.unwrapping import unwrap_model

__all__ = ['ProtectorHook']


@HOOKS.register_module()
class ProtectorHook(Hook):
    """Guard the training of a :class:`ProtectedDetector` and write its protector at the end.

    No checkpoint is written, and so no good one replaced, if a weight is not finite, or if the
    frozen detector has changed. ``protector.safetensors`` in the work folder is what
    :func:`load_protector` reads, with the weights of the last iteration.
    """

    def before_train(self, runner) -> None:
        """Remember the detector.

        Raises:
            TypeError: The model is none that this hook is for.
        """
        model = unwrap_model(runner.model)
        if not isinstance(model, ProtectedDetector):
            raise TypeError(f'ProtectorHook is for a ProtectedDetector, and the model is a '
                            f'{type(model).__name__}: take it from custom_hooks')
        self._frozen = fingerprint(model.detector.state_dict())

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Look at what is about to be written.

        Raises:
            FloatingPointError: A weight is not finite.
            RuntimeError: The detector is no longer the one that training began with.
        """
        model = unwrap_model(runner.model)
        bad = [name for name, value in checkpoint['state_dict'].items()
               if not torch.isfinite(value).all()]
        if bad:
            raise FloatingPointError(
                f'{len(bad)} tensors of the protector are not finite ({bad[0]}, ...), training '
                'stops without a checkpoint of them. Lower optim_wrapper.optimizer.lr, or clip '
                'gradients with optim_wrapper.clip_grad, and go on with --resume')
        if fingerprint(model.detector.state_dict()) != self._frozen:
            raise RuntimeError('the frozen detector has changed in training: some hook or module '
                               'of the config writes to its weights or buffers')

    def after_train(self, runner) -> None:
        """Write ``protector.safetensors``."""
        if is_main_process():
            path = Path(runner.work_dir) / 'protector.safetensors'
            save_protector(path, unwrap_model(runner.model).protector, self._frozen)
            print_log(f'the protector is in {path}', logger='current')
