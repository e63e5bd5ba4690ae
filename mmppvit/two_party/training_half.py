"""The host's half of a training: a backbone, its gradients, its optimizer."""
from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmppvit.two_party.messages import ProtocolError, fields
from mmppvit.two_party.part_schema import build_backbone

__all__ = ['TrainingHalf']

_NONE = type(None)
_SPEC = dict(backbone=(dict, ), mean=(list, ), std=(list, ), optimizer=(dict, ), seed=(int, ))
_OPTIMIZER = dict(type=(str, ), groups=(list, ))
_GROUP = dict(names=(list, ), options=(dict, ))
_NUMBER = (int, float, _NONE)
_OPTIMIZERS = dict(
    AdamW=(torch.optim.AdamW, dict(lr=_NUMBER, weight_decay=_NUMBER, eps=_NUMBER,
                                   betas=(list, _NONE), amsgrad=(bool, _NONE))),
    Adam=(torch.optim.Adam, dict(lr=_NUMBER, weight_decay=_NUMBER, eps=_NUMBER,
                                 betas=(list, _NONE), amsgrad=(bool, _NONE))),
    SGD=(torch.optim.SGD, dict(lr=_NUMBER, weight_decay=_NUMBER, momentum=_NUMBER,
                               dampening=_NUMBER, nesterov=(bool, _NONE))))
_MAX_GRAPHS = 16  # forward passes of one step that may wait for their gradients
_MAX_TOKENS = 2**18  # of one batch
_MAX_NUMBER = 10_000  # learning rates and all that


class TrainingHalf:
    """Backbone, averaged backbone and optimizer, driven step by step from outside.

    Everything that comes in may be hostile: it is checked before anything changes, and
    :class:`ProtocolError` means that nothing did.

    Args:
        spec (dict): ``backbone`` (arguments of PEViT), ``mean`` and ``std`` of its input,
            ``optimizer`` (``type`` and ``groups`` of ``names`` and ``options``), ``seed`` of
            stochastic depth.
        device (str): Where it computes.
        distributed (bool): Whether the processes of torch's default group train together, each
            with an owner's process of its own: gradients are averaged over them.

    Raises:
        ProtocolError: The spec is not valid.
    """

    def __init__(self, spec: dict, device: str = 'cpu', distributed: bool = False) -> None:
        self.distributed = distributed
        self.spec = fields(spec, _SPEC, 'the session')
        self.device = device
        self.model = build_backbone(spec['backbone']).to(device).train()
        self.ema: nn.Module | None = None
        self._normalize = _normalization(spec, self.model).to(device)
        self.optimizer = _build_optimizer(spec['optimizer'], self.model)
        self._graphs: dict[int, tuple[Tensor, ...]] = {}
        self.missing = set(self.model.state_dict())  # weights that have not come yet

    @property
    def idle(self) -> bool:
        """Whether no step is under way."""
        return not self._graphs and all(p.grad is None for p in self.model.parameters())

    def put_weights(self, tensors: dict[str, Tensor]) -> None:
        """Set some of the first weights."""
        state = self.model.state_dict()
        for name, value in tensors.items():
            if name not in self.missing or state[name].shape != value.shape \
                    or value.dtype != torch.float32 or not torch.isfinite(value).all():
                raise ProtocolError(f'{name[:80]!r} is no weight that this backbone waits for, '
                                    'of another shape, or not finite')
        for name, value in tensors.items():
            state[name].copy_(value)
        self.missing -= set(tensors)
        if self.distributed and not self.missing:
            for param in self.model.parameters():
                dist.broadcast(param.data, 0)

    def forward(self, images: Sequence[Tensor], number: int | None, average: bool = False,
                amp: str | None = None) -> list[Tensor]:
        """Tokens of images.

        Args:
            images (Sequence[Tensor]): For each (N, C, s, s) uint8, its patches in any order.
            number (int, optional): Keep the graph under this number, for :meth:`backward`.
            average (bool): With the averaged weights.
            amp (str, optional): 'bfloat16' or 'float16' autocast.

        Returns:
            list[Tensor]: For each of the backbone's outputs (T, D), the tokens of all images.
        """
        self._check_images(images)
        if self.missing:
            raise ProtocolError(f'{len(self.missing)} weights are missing')
        if number is not None and len(self._graphs) >= _MAX_GRAPHS:
            raise ProtocolError(f'{_MAX_GRAPHS} forward passes wait for their gradients already')
        if average and self.ema is None:
            raise ProtocolError('there are no averaged weights')
        if amp not in (None, 'bfloat16', 'float16'):
            raise ProtocolError('amp is of an unknown type')
        model = self.ema if average else self.model
        model.train(number is not None)
        with torch.set_grad_enabled(number is not None), torch.random.fork_rng(), torch.autocast(
                torch.device(self.device).type, getattr(torch, amp or 'bfloat16'),
                enabled=amp is not None):
            torch.manual_seed((self.spec['seed'] * 1_000_003 + (number or 0)) % 2**63)
            outs = self._run(model, images)
        if number is not None and outs[0].requires_grad:
            self._graphs[number] = tuple(outs)
        return [x.detach().float() for x in outs]

    def _check_images(self, images: Sequence[Tensor]) -> None:
        side, channels = self.model.token_stride, self.model.patch_embed.proj.in_channels
        if not images:
            raise ProtocolError('no images')
        for image in images:
            if image.dtype != torch.uint8 or image.ndim != 4 or not len(image) \
                    or tuple(image.shape[1:]) != (channels, side, side):
                raise ProtocolError(f'expected patches of shape (N, {channels}, {side}, {side}), '
                                    f'uint8, got {tuple(image.shape)}, {image.dtype}')
        if sum(map(len, images)) > _MAX_TOKENS:
            raise ProtocolError(f'more than {_MAX_TOKENS} patches in one batch')

    def _run(self, model: nn.Module, images: Sequence[Tensor]) -> list[Tensor]:
        """Images of as many patches go through as one batch, whatever their shapes were."""
        sizes: dict[int, list[int]] = {}
        for i, image in enumerate(images):
            sizes.setdefault(len(image), []).append(i)
        found: list = [None] * len(images)
        for members in sizes.values():
            x = torch.stack([images[i] for i in members]).to(self.device)
            # (B, N, C, s, s) -> one row of patches, (B, C, s, N * s): places mean nothing here.
            x = self._normalize(x.permute(0, 2, 3, 1, 4).flatten(3))
            outs = [y.flatten(2).transpose(1, 2) for y in model(x)]
            for k, i in enumerate(members):
                found[i] = [y[k] for y in outs]
        return [torch.cat(parts) for parts in zip(*found, strict=True)]

    def shapes(self, number: int) -> list[tuple[int, int]]:
        """Shapes of the gradients that forward pass ``number`` waits for."""
        if number not in self._graphs:
            raise ProtocolError(f'no forward pass {number} waits for gradients')
        return [tuple(x.shape) for x in self._graphs[number]]

    def backward(self, number: int, grads: Sequence[Tensor]) -> float | None:
        """Add the gradients of one forward pass; then they are averaged over all processes.

        Averages stay what they are when averaged again, so that several passes add up.

        Returns:
            float | None: The squared norm of all gradients so far, None if it is not finite.
        """
        outs = self._graphs.pop(number)
        torch.autograd.backward(outs, [g.to(x) for g, x in zip(grads, outs, strict=True)])
        if self.distributed:
            for param in self.model.parameters():
                if param.grad is not None:
                    dist.all_reduce(param.grad)
                    param.grad.div_(dist.get_world_size())
        return self.squared_norm()

    def squared_norm(self) -> float | None:
        """Of all gradients, None if it is not finite."""
        norms = [p.grad.norm() for p in self.model.parameters() if p.grad is not None]
        total = float(torch.stack(norms).square().sum()) if norms else 0.
        return total if math.isfinite(total) else None

    def step(self, options: list, factor: float, clip_value: float | None = None) -> None:
        """Update the weights; the gradients are gone afterwards.

        Args:
            options (list[dict]): Of each parameter group: ``lr`` and others.
            factor (float): For the gradients, before ``clip_value``.
            clip_value (float, optional): Largest magnitude of a gradient's entry.
        """
        groups = self.optimizer.param_groups
        if len(options) != len(groups):
            raise ProtocolError(f'options for {len(options)} of {len(groups)} parameter groups')
        allowed = _OPTIMIZERS[self.spec['optimizer']['type']][1]
        checked = [_check_options(option, allowed) for option in options]
        if not 0 <= factor <= _MAX_NUMBER or not 0 < (clip_value or 1) <= _MAX_NUMBER:
            raise ProtocolError('factors of gradients must be positive')
        if self.squared_norm() is None:
            raise ProtocolError('the gradients of this step are not finite')
        for group, option in zip(groups, checked, strict=True):
            group.update(option)
        params = [p for p in self.model.parameters() if p.grad is not None]
        for param in params:
            param.grad.mul_(factor)
        if clip_value is not None:
            nn.utils.clip_grad_value_(params, clip_value)
        self.optimizer.step()
        self.discard()

    def discard(self) -> None:
        """Drop the gradients and graphs of a step that is not taken."""
        self.optimizer.zero_grad(set_to_none=True)
        self._graphs.clear()

    def average(self, momentum: float) -> None:
        """Move the averaged weights towards the present ones; 1 makes them equal."""
        if not 0 <= momentum <= 1:
            raise ProtocolError('the momentum must lie in 0 to 1')
        if self.ema is None:
            self.ema = copy.deepcopy(self.model).requires_grad_(False)
        with torch.no_grad():
            for old, new in zip(self.ema.parameters(), self.model.parameters(), strict=True):
                old.copy_(new) if momentum == 1 else old.lerp_(new, momentum)

    def state(self) -> dict[str, Tensor]:
        """All tensors of it, by name."""
        state = {f'model.{k}': v for k, v in self.model.state_dict().items()}
        if self.ema is not None:
            state.update({f'ema.{k}': v for k, v in self.ema.state_dict().items()})
        for name, param in self.model.named_parameters():
            for key, value in self.optimizer.state.get(param, {}).items():
                if value is not None:
                    state[f'optim.{key}.{name}'] = torch.as_tensor(value)
        return state

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what :meth:`state` gave, strictly."""
        parts: dict[str, dict] = dict(model={}, ema={}, optim={})
        for name, value in state.items():
            part, _, rest = name.partition('.')
            parts[part][rest] = value
        self.model.load_state_dict(parts['model'])
        if parts['ema']:
            self.average(1.)
            self.ema.load_state_dict(parts['ema'])
        params = dict(self.model.named_parameters())
        self.optimizer.state.clear()
        for name, value in parts['optim'].items():
            key, _, param = name.partition('.')
            kept = value if key == 'step' else value.to(self.device)
            self.optimizer.state[params[param]][key] = kept.clone()
        self.discard()
        self.missing = set()


def _normalization(spec: dict, model: nn.Module) -> nn.Module:
    for name in ('mean', 'std'):
        values = spec[name]
        if len(values) != model.patch_embed.proj.in_channels or any(
                isinstance(x, bool) or not isinstance(x, (int, float)) or abs(x) > _MAX_NUMBER
                for x in values):
            raise ProtocolError(f'{name} must have a number for each channel')
    if min(spec['std']) <= 0:
        raise ProtocolError('std must be positive')
    return _Normalize(spec['mean'], spec['std'])


class _Normalize(nn.Module):
    """As DetDataPreprocessor does it, to the bit."""

    def __init__(self, mean: list, std: list) -> None:
        super().__init__()
        self.register_buffer('mean', torch.tensor(mean).float().view(-1, 1, 1))
        self.register_buffer('std', torch.tensor(std).float().view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() - self.mean) / self.std


def _build_optimizer(spec: dict, model: nn.Module) -> torch.optim.Optimizer:
    fields(spec, _OPTIMIZER, 'the optimizer')
    if spec['type'] not in _OPTIMIZERS:
        raise ProtocolError(f'optimizer {spec["type"][:40]!r} is none of {sorted(_OPTIMIZERS)}')
    cls, allowed = _OPTIMIZERS[spec['type']]
    params = {name: p for name, p in model.named_parameters() if p.requires_grad}
    groups, left = [], dict(params)
    for group in spec['groups']:
        fields(group, _GROUP, 'a parameter group')
        names = group['names']
        if not names or any(not isinstance(n, str) or n not in left for n in names) \
                or len(set(names)) < len(names):
            raise ProtocolError('a parameter group names what is no parameter, or one twice')
        groups.append(dict(params=[left.pop(n) for n in names],
                           **_check_options(group['options'], allowed)))
    for param in left.values():  # what the owner does not train
        param.requires_grad_(False)
    if not groups:  # torch refuses an optimizer of nothing
        return cls([nn.Parameter(torch.zeros(1))], lr=0.)
    try:
        return cls(groups)
    except (TypeError, ValueError) as err:
        raise ProtocolError(f'the optimizer cannot be built: {err}') from None


def _check_options(options: object, allowed: dict) -> dict:
    fields(options, allowed, 'options of the optimizer')
    checked = {}
    for key, value in options.items():
        if value is None:
            continue  # as if it were not there
        if key == 'betas' and (len(value) != 2 or any(
                isinstance(b, bool) or not isinstance(b, (int, float)) or not 0 <= b < 1
                for b in value)):
            raise ProtocolError('betas must be two numbers in 0 to 1')
        if key != 'betas' and not isinstance(value, bool) and not 0 <= value <= _MAX_NUMBER:
            raise ProtocolError(f'{key} must lie in 0 to {_MAX_NUMBER}')
        checked[key] = tuple(value) if key == 'betas' else value
    return checked
