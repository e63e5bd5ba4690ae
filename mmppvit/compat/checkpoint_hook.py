"""Checkpoints that load under ``weights_only=True`` and resume (open-mmlab/mmengine #1655).

mmengine calls hooks before it saves and after it has loaded a checkpoint. The subclass below takes
the name ``CheckpointHook`` in MMDetection's registry, which is asked before mmengine's, so that
every config with ``default_hooks.checkpoint=dict(type='CheckpointHook')`` gets it. Configs that
name the class itself (``type=CheckpointHook``) do not; they add ``PlainStateHook`` to
``custom_hooks``.
"""
import logging

from mmdet.registry import HOOKS
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log

from . import atomic_backend  # noqa: F401, registers the file backend
from .plain_state import make_plain, restore

__all__ = ['PlainCheckpointHook', 'PlainStateHook']

# The parts of a checkpoint that may hold more than tensors. Weights are left alone.
PARTS = ('meta', 'message_hub', 'optimizer', 'param_schedulers')


@HOOKS.register_module(force=True)
class PlainStateHook(Hook):
    """Makes checkpoints plain before they are saved and brings their objects back on loading."""

    # After all hooks that put something into a checkpoint.
    priority = 'LOWEST'

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Rewrite the checkpoint in place and warn of what could not be kept."""
        omitted = []
        for part in PARTS:
            if part in checkpoint:
                checkpoint[part] = make_plain(checkpoint[part], omitted, part)
        omitted = sorted(set(omitted) - getattr(self, '_warned', set()))
        if omitted:
            self._warned = getattr(self, '_warned', set()).union(omitted)
            print_log(f'not saved, as it would need pickle to load: {", ".join(omitted)}',
                      logger='current', level=logging.WARNING)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Bring the objects of the message hub and the schedulers back, in place."""
        for part in PARTS:
            if part in checkpoint:
                checkpoint[part] = restore(checkpoint[part])


@HOOKS.register_module(name='CheckpointHook', force=True)
class PlainCheckpointHook(PlainStateHook, CheckpointHook):
    """mmengine's ``CheckpointHook``, writing plain checkpoints, and whole ones on local disks.

    The priority is that of ``CheckpointHook``.
    """

    priority = CheckpointHook.priority

    def before_train(self, runner) -> None:
        """Choose the file backend before mmengine does, unless the config has chosen one."""
        target = str(self.out_dir or runner.work_dir)
        chosen = self.backend_args is not None or self.file_client_args is not None
        if not chosen and '://' not in target:
            self.backend_args = dict(backend='atomic_local')
        super().before_train(runner)
