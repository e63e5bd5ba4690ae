"""An optimizer wrapper whose steps the host takes along with its half."""
from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmppvit.two_party.remote_pevit import RemotePEViT

__all__ = ['drive_host', 'optimizer_spec']

_OPTIONS = dict(AdamW=('lr', 'weight_decay', 'eps', 'betas', 'amsgrad'),
                Adam=('lr', 'weight_decay', 'eps', 'betas', 'amsgrad'),
                SGD=('lr', 'weight_decay', 'momentum', 'dampening', 'nesterov'))


def optimizer_spec(optimizer: torch.optim.Optimizer, backbone: RemotePEViT) -> dict:
    """What the host needs to build its half of an optimizer.

    Raises:
        ValueError: The host cannot have this kind.
    """
    kind = type(optimizer).__name__
    if kind not in _OPTIONS or type(optimizer) is not getattr(torch.optim, kind):
        raise ValueError(f'optim_wrapper.optimizer.type={kind!r}: a host can run '
                         f'{", ".join(_OPTIONS)}')
    names = {p: name for name, p in backbone.named_parameters() if p.requires_grad}
    groups = []
    for group in optimizer.param_groups:
        own = [names[p] for p in group['params'] if p in names]
        if own:
            groups.append(dict(names=own, options=_options(group, kind)))
    return dict(type=kind, groups=groups)


def _options(group: dict, kind: str) -> dict:
    return {key: list(group[key]) if key == 'betas' else group[key]
            for key in _OPTIONS[kind] if key in group}


def drive_host(wrapper: OptimWrapper, backbone: RemotePEViT) -> None:
    """Have ``wrapper`` clip over both halves, and the host step when it steps.

    Raises:
        ValueError: It clips in a way that needs the host's gradients themselves.
    """
    if not isinstance(wrapper, OptimWrapper):
        raise ValueError(f'{type(wrapper).__name__} is no OptimWrapper of one optimizer, which a '
                         'two-party training needs')
    kwargs = wrapper.clip_grad_kwargs or {}
    if getattr(wrapper, 'grad_name', '') == 'grad_norm' and kwargs.get('norm_type', 2) != 2:
        raise ValueError('clip_grad.norm_type must be 2: the host reports the squared norm')
    if backbone.frozen:
        return
    wrapper.__class__ = _remote_class(type(wrapper))
    wrapper.backbone, wrapper.factor, wrapper.taken = backbone, 1., False
    wrapper.norm_seen = 0.
    wrapper.optimizer.register_step_post_hook(lambda *_: wrapper.step_host())
    inner = wrapper.step  # on the instance, as schedulers have put their counter there

    def step(**kwargs) -> None:
        wrapper.remote_step(inner, **kwargs)

    step._with_counter = True
    wrapper.step = step


@cache
def _remote_class(kind: type[OptimWrapper]) -> type[OptimWrapper]:
    return type(f'Remote{kind.__name__}', (_RemoteSteps, kind), {})


class _RemoteSteps:
    """Mixed in front of an OptimWrapper."""

    def remote_step(self, step: Callable, **kwargs) -> None:
        """The wrapper's own step, which may find that it has to skip (AMP)."""
        squared, overflow = self.backbone.take_norm()
        if overflow or squared is None:
            self._spoil()
            squared = None
        self.norm_seen, self.taken = squared, False
        self.factor = 1 / self._scale()
        step(**kwargs)
        if not self.taken:  # a loss scaler skipped it
            self.backbone.connection.call('discard')

    def _scale(self) -> float:
        scaler = getattr(self, 'loss_scaler', None)
        return float(scaler.get_scale()) if scaler is not None else 1.

    def _spoil(self) -> None:
        """Let the loss scaler see that gradients overflowed."""
        if getattr(self, 'loss_scaler', None) is None:
            self.backbone.connection.call('discard')
            raise FloatingPointError(
                'gradients of the tokens or of the host are not finite, and no step was taken: '
                'lower optim_wrapper.optimizer.lr, or clip with optim_wrapper.clip_grad')
        for param in self._params():
            param.grad.fill_(float('inf'))

    def _params(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group['params']
                if p.grad is not None]

    def _clip_grad(self) -> None:
        """By the norm of all gradients, those of the host included."""
        if self.grad_name != 'grad_norm' or self.norm_seen is None:
            return super()._clip_grad()
        params = self._params()
        own = torch.nn.utils.get_total_norm([p.grad for p in params]) \
            if hasattr(torch.nn.utils, 'get_total_norm') else torch.stack(
                [p.grad.norm() for p in params]).norm()
        total = math.hypot(float(own), math.sqrt(self.norm_seen) * self.factor)
        self.message_hub.update_scalar('train/grad_norm', total)
        clip = min(1., self.clip_grad_kwargs['max_norm'] / (total + 1e-6))
        for param in params:
            param.grad.mul_(clip)
        self.factor *= clip
        return None

    def step_host(self) -> None:
        """Called by the optimizer after each step that it takes."""
        kind = next(k for k in type(self.optimizer).__mro__ if k.__name__ in _OPTIONS).__name__
        names = {p for p in self.backbone.parameters() if p.requires_grad}
        options = [_options(group, kind) for group in self.optimizer.param_groups
                   if any(p in names for p in group['params'])]
        header: dict = dict(options=options, factor=self.factor)
        if self.clip_grad_kwargs and self.grad_name == 'grad_value':
            header['clip_value'] = self.clip_grad_kwargs['clip_value']
        self.backbone.connection.call('step', **header)
        self.taken = True
