"""Distributed runs on CPUs.

mmengine 0.10.7's launcher calls ``torch.cuda.set_device`` before it joins the process group and
gives DDP the number of a GPU; both raise where there is none. It leaves a group alone that has been
joined already, and a DDP wrapper that the config names.
"""
import os

import torch
from torch import distributed

__all__ = ['leave_dist', 'prepare_cpu_dist']


def prepare_cpu_dist(cfg) -> None:
    """Let ``torchrun`` start processes without GPUs: join them with gloo, wrap models for CPUs.

    Args:
        cfg (Config): A config with ``launcher``; changed in place. Nothing happens for launchers
            other than 'pytorch', outside of ``torchrun`` and where there is a GPU.
    """
    if cfg.launcher != 'pytorch' or torch.cuda.is_available() or 'RANK' not in os.environ:
        return
    if not distributed.is_initialized():
        distributed.init_process_group('gloo')
    cfg.setdefault('model_wrapper_cfg', dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False)))


def leave_dist() -> None:
    """End the process group: its threads may abort a process that exits while they still run."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
