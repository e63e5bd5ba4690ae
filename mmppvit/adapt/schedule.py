"""Optimizer and schedule that suit a vision transformer."""
from __future__ import annotations

from mmppvit.adapt.config_changes import ConfigChanges, Path

__all__ = ['suit_schedule']

LR, BATCH, WEIGHT_DECAY, DECAY_RATE = 1e-4, 16, .1, .7
WARMUP = dict(type='LinearLR', start_factor=.001, by_epoch=False, begin=0, end=500)
_WARMUPS = {'LinearLR', 'ConstantLR', 'QuadraticWarmupLR', 'OneCycleLR'}


def suit_schedule(changes: ConfigChanges, root: Path, pretrained: bool) -> None:
    """AdamW in place of what the stock backbone was trained with, and a schedule that fits.

    What a schedule says in absolute learning rates is scaled to the new one; it starts with a
    warm-up. Length and milestones stay. Settings of parameters outside of the backbone stay.

    Args:
        changes (ConfigChanges): Of the config.
        root (Path): Where the detector is.
        pretrained (bool): The backbone has weights, so early blocks learn more slowly.
    """
    old = changes.get(('optim_wrapper', ))
    if not isinstance(old, dict) or not isinstance(old.get('optimizer'), dict):
        return
    changes.set(('optim_wrapper', ), _wrapper(old, root, pretrained),
                'A transformer diverges or starves with the rates of a ResNet: '
                'AdamW, no weight decay on norms and biases.')
    batch = changes.get(('auto_scale_lr', ))
    if isinstance(batch, dict) and batch.get('base_batch_size') != BATCH:
        changes.set(('auto_scale_lr', 'base_batch_size'), BATCH, 'What the lr above is for.')
    old_lr = old['optimizer'].get('lr')
    schedulers = changes.get(('param_scheduler', ))
    if old_lr and schedulers:
        _suit_schedulers(changes, schedulers, LR / old_lr)


def _wrapper(old: dict, root: Path, pretrained: bool) -> dict:
    keys = {key: value for key, value in
            (old.get('paramwise_cfg') or {}).get('custom_keys', {}).items()
            if not _of_backbone(key)}
    new = {key: value for key, value in old.items()
           if key not in ('optimizer', 'paramwise_cfg', 'constructor')}
    if root == ('model', ):
        paramwise = dict(decay_rate=DECAY_RATE if pretrained else 1.)
        new['constructor'] = 'ViTLayerDecayOptimWrapperConstructor'
    else:  # the constructor needs model.backbone
        paramwise = dict(norm_decay_mult=0., bias_decay_mult=0.)
    if keys:
        paramwise['custom_keys'] = keys
    new.update(paramwise_cfg=paramwise,
               optimizer=dict(type='AdamW', lr=LR, betas=(.9, .999), weight_decay=WEIGHT_DECAY))
    if not new.get('clip_grad'):
        new['clip_grad'] = dict(max_norm=1.)
    return new


def _of_backbone(key: str) -> bool:
    return key.startswith('backbone') or key in (
        'absolute_pos_embed', 'relative_position_bias_table', 'norm', 'pos_embed')


def _suit_schedulers(changes: ConfigChanges, schedulers, ratio: float) -> None:
    alone = isinstance(schedulers, dict)
    old = [schedulers] if alone else list(schedulers)
    new = [_scaled(item, ratio) for item in old]
    reasons = []
    if new != old:
        reasons.append('eta_min is a learning rate: scaled to the new one.')
    if not any(_kind(item) in _WARMUPS and item.get('begin', 0) == 0 for item in new):
        new.insert(0, dict(WARMUP))
        reasons.append('A transformer needs a warm-up.')
    if reasons:
        changes.set(('param_scheduler', ), new, ' '.join(reasons))


def _scaled(item: dict, ratio: float) -> dict:
    """A scheduler whose absolute learning rates are multiplied by ``ratio``."""
    if not _kind(item).endswith('LR'):
        return item
    return {key: float(f'{value * ratio:.6g}') if key in ('eta_min', 'eta_max') and value else value
            for key, value in item.items()}


def _kind(item: dict) -> str:
    return str(item.get('type')).rsplit('.', 1)[-1]
