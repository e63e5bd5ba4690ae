"""What ties a RemotePEViT to the training of the rest of its detector."""
from __future__ import annotations

import math
import secrets

from mmdet.registry import HOOKS
from mmengine.dist import broadcast_object_list, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from mmppvit.two_party.messages import ProtocolError
from mmppvit.two_party.remote_optim import drive_host, optimizer_spec
from mmppvit.two_party.remote_parallel import RemoteDataParallel
from mmppvit.two_party.remote_pevit import RemotePEViT

__all__ = ['RemoteBackboneHook']

_EVALUATION = dict(type='SGD')  # of a session that takes no step


@HOOKS.register_module()
class RemoteBackboneHook(Hook):
    """Connect a :class:`RemotePEViT` with its host and keep the two halves together.

    Detectors with another backbone are not its business. The host's half is stepped, averaged
    (EMA) and saved with the owner's; a checkpoint names the run and the step of the host's, and
    to go on from it the host must have the same. The log has ``host_wait``, the seconds of an
    iteration that this side waited, and the bytes sent and received.
    """
    priority = 'LOW'  # after EMAHook has averaged and exchanged weights

    def __init__(self) -> None:
        self._resumed: dict | None = None
        self._run = secrets.token_hex(16)
        self._before = (0, 0, 0.)

    def before_train(self, runner) -> None:
        """Connect, with the weights of the start or those of the checkpoint."""
        backbone = _backbone(runner)
        if backbone is None:
            return
        if get_world_size() > 1:
            if not isinstance(runner.model, RemoteDataParallel):
                raise ValueError("several processes train a RemotePEViT with model_wrapper_cfg="
                                 "dict(type='RemoteDataParallel'): add it to the config")
            shared = [self._run]
            broadcast_object_list(shared)
            (self._run, ) = shared
        for hook in _emas(runner):
            _momentum(hook)  # refuses unknown kinds before anything is sent
        if not backbone.connected:
            spec = optimizer_spec(runner.optim_wrapper.optimizer, backbone)
            self._connect(runner, backbone, spec)
        drive_host(runner.optim_wrapper, backbone)
        print_log(f'the backbone runs at {backbone.address}', logger='current')

    def before_val(self, runner) -> None:
        """Connect for evaluation alone."""
        backbone = _backbone(runner)
        if backbone is not None and not backbone.connected:
            names = [name for name, p in backbone.named_parameters() if p.requires_grad]
            self._connect(runner, backbone, dict(
                _EVALUATION, groups=[dict(names=names, options=dict(lr=0))] if names else []))

    def before_test(self, runner) -> None:
        self.before_val(runner)

    def _connect(self, runner, backbone: RemotePEViT, optimizer: dict) -> None:
        detector = _unwrapped(runner.model)
        copies = [hook.ema_model.module.backbone for hook in _emas(runner)]
        step = None if self._resumed is None else self._resumed['step']
        # Stochastic depth gets a seed of its own: that of the run says which image comes when, and
        # what the first weights of neck and head are.
        found = backbone.connect(detector.data_preprocessor, optimizer, self._run, 0, step)
        for copy in copies:
            copy.release()
        if step is not None and found.get('digest') != self._resumed['digest']:
            raise ValueError(
                f"the host's checkpoint of step {step} is not the one that was saved with the "
                "owner's: both have to be of the same training")

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Note what the host has to go on from."""
        if _backbone(runner) is None:
            return
        found = checkpoint.get('two_party')
        if found is not None:
            self._resumed = found
            self._run = found['run']
        elif runner._resume:
            raise ValueError('the checkpoint names no checkpoint of a host: it is not of a '
                             'two-party training, or of one without RemoteBackboneHook')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """The host saves first: a checkpoint of the owner always has its other half."""
        backbone = _backbone(runner)
        if backbone is None or not backbone.connected:
            return
        step = checkpoint['meta']['iter']
        answer, _, _ = backbone.connection.call('save', step=step)
        if not isinstance(answer.get('digest'), str):
            raise ProtocolError('the host does not say what it saved')
        checkpoint['two_party'] = dict(run=self._run, step=step, digest=answer['digest'],
                                       average=bool(_emas(runner)))

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Average on the host as here; log what the host cost."""
        backbone = _backbone(runner)
        if backbone is None:
            return
        for hook in _emas(runner):
            momentum = _momentum(hook) if hook._ema_started(runner) else 1.
            if momentum is not None and not backbone.frozen:
                backbone.connection.call('average', momentum=momentum)
        link = backbone.connection
        now = link.sent, link.received, link.waited
        hub = runner.message_hub
        for name, new, old in zip(('host_sent', 'host_received', 'host_wait'), now, self._before,
                                  strict=True):
            hub.update_scalar(f'train/{name}', new - old)
        self._before = now

    def before_val_epoch(self, runner) -> None:
        """Averaged weights evaluate, as with EMAHook."""
        backbone = _backbone(runner)
        if backbone is not None:
            resumed = self._resumed or {}
            backbone.average = (bool(_emas(runner)) or bool(resumed.get('average'))) \
                and not backbone.frozen

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        backbone = _backbone(runner)
        if backbone is not None:
            backbone.average = False

    before_test_epoch = before_val_epoch
    after_test_epoch = after_val_epoch

    def after_run(self, runner) -> None:
        backbone = _backbone(runner)
        if backbone is not None and backbone.connected:
            backbone.connection.close()


def _unwrapped(model: nn.Module) -> nn.Module:
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _backbone(runner) -> RemotePEViT | None:
    backbone = getattr(_unwrapped(runner.model), 'backbone', None)
    return backbone if isinstance(backbone, RemotePEViT) else None


def _emas(runner) -> list[EMAHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EMAHook)]


def _momentum(hook: EMAHook) -> float | None:
    """What the averaging of this iteration moved by, None if it did not happen."""
    model = hook.ema_model
    kind, steps = type(model).__name__, int(model.steps) - 1  # counted already
    if kind not in ('ExponentialMovingAverage', 'ExpMomentumEMA', 'StochasticWeightAverage'):
        raise ValueError(f'EMAHook.ema_type={kind!r}: a host can average as '
                         'ExponentialMovingAverage, ExpMomentumEMA or StochasticWeightAverage')
    if steps <= 0:
        return 1.
    if steps % model.interval:
        return None
    if kind == 'StochasticWeightAverage':
        return 1 / (steps // model.interval + 1)
    if kind == 'ExpMomentumEMA':
        return (1 - model.momentum) * math.exp(-float(1 + steps) / model.gamma) + model.momentum
    return model.momentum
