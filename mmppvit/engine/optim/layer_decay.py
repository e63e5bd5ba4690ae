"""Layer-wise learning-rate decay."""
from __future__ import annotations

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmppvit.utils.unwrapping import unwrap_model

__all__ = ['ViTLayerDecayOptimWrapperConstructor']


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ViTLayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Smaller learning rates for earlier blocks, no weight decay for norms and biases.

    A parameter at depth d of n gets ``lr * decay_rate ** (n - 1 - d)`` (BEiT, ViTDet). The
    depths come from the backbone's ``get_layer_depth``; what follows the backbone keeps ``lr``.

    ``paramwise_cfg`` takes ``decay_rate`` (float, 1 for none) and ``custom_keys`` with
    ``lr_mult`` and ``decay_mult`` per substring of a parameter's name, as in MMEngine.

    Example:
        >>> optim_wrapper = dict(
        >>>     type='AmpOptimWrapper',
        >>>     optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.1),
        >>>     constructor='ViTLayerDecayOptimWrapperConstructor',
        >>>     paramwise_cfg=dict(decay_rate=0.7))
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        known = {'decay_rate', 'custom_keys'}
        unknown = set(self.paramwise_cfg) - known
        if unknown:
            raise ValueError(f'paramwise_cfg has {sorted(unknown)}; {type(self).__name__} knows '
                             f'{sorted(known)}')
        self.decay_rate = self.paramwise_cfg.get('decay_rate', 1.)
        # MMEngine passes over add_params, and with it norms and biases, for an empty one.
        self.paramwise_cfg = {'decay_rate': self.decay_rate, **self.paramwise_cfg}
        if not 0 < self.decay_rate <= 1:
            raise ValueError(f'decay_rate must lie in (0, 1], got {self.decay_rate}')

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', **_) -> None:
        """Put the parameters of ``module`` into groups of one (lr, weight decay) each."""
        model = unwrap_model(module)
        depth_of = getattr(getattr(model, 'backbone', None), 'get_layer_depth', None)
        if depth_of is None:
            raise TypeError(f'{type(self).__name__} needs a backbone with get_layer_depth, such '
                            f'as PEViT; {type(model).__name__} has none')
        groups: dict[tuple[float, float], dict] = {}
        for name, param in model.named_parameters():
            if not param.requires_grad:
                continue
            scale, decay = self._multipliers(name, param, depth_of)
            group = groups.setdefault((scale, decay), dict(params=[], lr=self.base_lr * scale))
            if self.base_wd is not None:
                group['weight_decay'] = self.base_wd * decay
            group['params'].append(param)
        params.extend(groups.values())
        print_log(
            f'{len(groups)} parameter groups, learning rates from '
            f'{min(scale for scale, _ in groups) * self.base_lr:.3g} to {self.base_lr:.3g}',
            logger='current')

    def _multipliers(self, name: str, param: nn.Parameter, depth_of) -> tuple[float, float]:
        depth, num_depths = depth_of(name, 'backbone.')
        scale = self.decay_rate**(num_depths - 1 - depth)
        # One-dimensional: biases, norms and the reference of the reference-based encoding.
        decay = 0. if param.ndim <= 1 else 1.
        custom = self.paramwise_cfg.get('custom_keys', {})
        for key in sorted(sorted(custom), key=len, reverse=True):  # as MMEngine: longest first
            if key in name:
                scale *= custom[key].get('lr_mult', 1.)
                decay = custom[key].get('decay_mult', decay)
                break
        return scale, decay
