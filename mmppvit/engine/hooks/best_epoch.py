"""The weights of the epoch that was best on held-out images."""
from __future__ import annotations

from mmengine.logging import print_log
from torch import nn

from mmppvit.models.checkpoints import read_state_dict

__all__ = ['load_best']


def load_best(runner, model: nn.Module) -> None:
    """Load the checkpoint of ``CheckpointHook.save_best`` into the unwrapped ``model``.

    Raises:
        ValueError: No epoch was chosen.
    """
    path = runner.message_hub.get_info('best_ckpt', None) if \
        'best_ckpt' in runner.message_hub.runtime_info else None
    if path is None:
        raise ValueError('there is no best epoch: set default_hooks.checkpoint.save_best to a '
                         'metric, and train_cfg.val_interval so that it is computed')
    model.load_state_dict(read_state_dict(path, 'state_dict'), strict=False)
    print_log(f'weights of the best epoch: {path}', logger='current')
