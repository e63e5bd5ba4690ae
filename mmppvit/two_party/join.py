"""The whole detector at the end of a two-party training."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from mmppvit.two_party.remote_pevit import RemotePEViT

__all__ = ['join_halves']

_BATCH = 16  # weights in one answer


def join_halves(cfg: Config, checkpoint: str | Path) -> dict[str, Tensor]:
    """Weights of the whole detector: the owner's checkpoint and the host's of the same step.

    Args:
        cfg (Config): Of the two-party training.
        checkpoint (str | Path): The owner's, a weights-only ``.pth``.

    Raises:
        ValueError: The checkpoint is not of a two-party training, or the host's is another one.
        HostError: The host has no checkpoint of that step.
    """
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint}')
    content = torch.load(checkpoint, map_location='cpu', weights_only=True)
    found = content.get('two_party') if isinstance(content, dict) else None
    if not isinstance(found, dict):
        raise ValueError(f'{checkpoint} names no checkpoint of a host: it is not of a two-party '
                         'training')
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    detector = MODELS.build(cfg.model)
    backbone = detector.backbone
    if not isinstance(backbone, RemotePEViT):
        raise ValueError(f'the backbone of the config is a {type(backbone).__name__}: give the '
                         'config of the two-party training')
    shapes = {name: tuple(value.shape) for name, value in backbone.named_parameters()}
    names = sorted(name for name, p in backbone.named_parameters() if p.requires_grad)
    sgd = dict(type='SGD', groups=[dict(names=names, options=dict(lr=0))] if names else [])
    answer = backbone.connect(detector.data_preprocessor, sgd, found['run'], 0, found['step'])
    if answer.get('digest') != found['digest']:
        raise ValueError(f"the host's checkpoint of step {found['step']} is not the one that was "
                         "saved with the owner's")
    whole = dict(content['state_dict'])
    for name, value in _fetch(backbone, sorted(shapes), bool(found.get('average'))).items():
        if tuple(value.shape) != shapes[name] or not torch.isfinite(value).all():
            raise ValueError(f'the host sent {name} of shape {tuple(value.shape)}, expected '
                             f'{shapes[name]}, or values that are not finite')
        whole[f'backbone.{name}'] = value
    backbone.connection.close()
    return whole


def _fetch(backbone: RemotePEViT, names: Sequence[str], average: bool) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for i in range(0, len(names), _BATCH):
        part = list(names[i:i + _BATCH])
        _, found, _ = backbone.connection.call('fetch', numbered=False, names=part,
                                               average=average)
        if set(found) != set(part):
            raise ValueError('the host sent other weights than it was asked for')
        weights.update(found)
    return weights
