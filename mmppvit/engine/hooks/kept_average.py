"""Averaged weights that are kept, and never evaluated."""
from __future__ import annotations

from mmdet.registry import HOOKS
from mmengine.hooks import EMAHook

__all__ = ['KeptAverageHook']


@HOOKS.register_module()
class KeptAverageHook(EMAHook):
    """EMA as DeiT keeps it (timm 0.3.2's ``ModelEma``): from the initial weights on, beside a model
    that is evaluated as it is.

    MMEngine's ``EMAHook`` starts from the weights after the first step and evaluates the average.
    In checkpoints the average is ``state_dict``, as MMEngine writes it, and the model
    ``ema_state_dict``; resuming puts both back.

    Args:
        decay (float): Weight of the average in each step.
    """

    def __init__(self, decay: float = .99996) -> None:
        super().__init__('ExponentialMovingAverage', momentum=1 - decay, update_buffers=True)

    def before_train(self, runner) -> None:
        """Let the first step average, too."""
        super().before_train(runner)
        if not self.ema_model.steps:
            self.ema_model.steps += 1
            self.ema_model.module.load_state_dict(self.src_model.state_dict())

    def _swap_ema_parameters(self) -> None:
        """Nothing: the model is evaluated as it is."""
