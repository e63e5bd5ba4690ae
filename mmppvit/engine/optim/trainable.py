"""Optimizers of models that are frozen in part."""
from __future__ import annotations

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

__all__ = ['TrainableOptimWrapperConstructor']


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's, but a frozen part of the model is left out of the optimizer.

    MMEngine's lists all parameters in one group, or names every frozen one in a warning.
    """

    def __call__(self, model: nn.Module):
        # MMEngine passes over add_params for an empty one.
        self.paramwise_cfg = self.paramwise_cfg or dict(bypass_duplicate=False)
        return super().__call__(model)

    def add_params(self, params: list[dict], module: nn.Module, *args, **kwargs) -> None:
        """Groups of one parameter each, of the modules that learn."""
        if any(param.requires_grad for param in module.parameters()):
            super().add_params(params, module, *args, **kwargs)
