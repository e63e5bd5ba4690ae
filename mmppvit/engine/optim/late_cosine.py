"""The schedule of the released PEYOLOS and PEViT, epoch by epoch."""
from __future__ import annotations

import math

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler
from mmengine.registry import PARAM_SCHEDULERS

__all__ = ['LateCosineLR']


@PARAM_SCHEDULERS.register_module()
class LateCosineLR(LRSchedulerMixin, _ParamScheduler):
    """A cosine in steps of whole epochs that starts one epoch late (timm 0.3.2, DeiT, YOLOS).

    Their training loops call ``step(epoch)`` after epoch ``epoch``, so that the first two epochs
    have the first value and the last value is never reached. Epoch e has that of
    ``t = max(e - 1, 0)``: ``eta_min + (lr - eta_min) * (1 + cos(pi * t / T_max)) / 2``, and
    ``warmup_lr + (lr - warmup_lr) * t / warmup_epochs`` while ``t < warmup_epochs``. The minimum
    and the start are the same number for all parameter groups.

    Args:
        optimizer: As for every scheduler.
        T_max (int): Epochs of half a period, those of warm-up among them.
        eta_min (float): The least learning rate.
        warmup_epochs (int): Epochs of linear warm-up; 0 for none.
        warmup_lr (float): Where the warm-up starts.
        **kwargs: ``begin``, ``end``, ``last_step`` and ``verbose`` of MMEngine's schedulers.

    Raises:
        ValueError: ``by_epoch`` is False.
    """

    def __init__(self, optimizer, T_max: int, eta_min: float,  # noqa: N803, as in PyTorch
                 warmup_epochs: int = 0, warmup_lr: float = 0., **kwargs) -> None:
        if not kwargs.get('by_epoch', True):
            raise ValueError('LateCosineLR changes the learning rate after whole epochs: '
                             'set by_epoch=True')
        self.T_max, self.eta_min = T_max, eta_min
        self.warmup_epochs, self.warmup_lr = warmup_epochs, warmup_lr
        super().__init__(optimizer, **kwargs)

    def _get_value(self) -> list[float]:
        late = max(self.last_step - 1, 0)
        if late < self.warmup_epochs:
            share = late / self.warmup_epochs
            return [self.warmup_lr + share * (value - self.warmup_lr)
                    for value in self.base_values]
        share = (1 + math.cos(math.pi * late / self.T_max)) / 2
        return [self.eta_min + share * (value - self.eta_min) for value in self.base_values]
