"""Weight decay of timm's classifiers."""
from __future__ import annotations

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

__all__ = ['ClassifierOptimWrapperConstructor']


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ClassifierOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """No weight decay for biases, norms, other vectors, and what the model exempts itself.

    The last are the names that ``no_weight_decay()`` of timm's models returns, e.g. class tokens
    and position embeddings. For a :class:`TimmClassifier`; ``paramwise_cfg`` takes what MMEngine's
    constructor takes, and overrides these rules.
    """

    def __call__(self, model: nn.Module):
        """The optimizer wrapper of ``model``."""
        classifier = (model.module if is_model_wrapper(model) else model).model
        exempt = getattr(classifier, 'no_weight_decay', set)()
        given = dict(self.paramwise_cfg or {})
        keys = {f'model.{name}': dict(decay_mult=0.) for name in exempt}
        self.paramwise_cfg = dict(
            dict(flat_decay_mult=0., norm_decay_mult=0., bias_decay_mult=0.), **given)
        self.paramwise_cfg['custom_keys'] = keys | dict(given.get('custom_keys', {}))
        return super().__call__(model)
