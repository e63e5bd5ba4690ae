"""The model that a runner, an averaged copy or test-time augmentation wraps."""
from __future__ import annotations

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

__all__ = ['unwrap_model']


def unwrap_model(model: nn.Module) -> nn.Module:
    """``model`` without ``DistributedDataParallel``, ``BaseTTAModel`` and the like around it."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
