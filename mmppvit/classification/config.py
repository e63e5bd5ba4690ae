"""The config of a classifier's training run, for MMEngine's runner."""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict

from mmengine.config import Config
from timm.data import resolve_model_data_config
from torch import nn

from mmppvit.classification.recipe import Recipe
from mmppvit.datasets.encrypted_image_folder import EncryptedImageFolder, find_split

__all__ = ['classification_config']


def classification_config(data: str, model: nn.Module, model_cfg: dict, encryption: dict,
                          recipe: Recipe, seed: int = 0, num_workers: int = 0,
                          normalization: Mapping[str, tuple] | None = None) -> Config:
    """Everything that MMEngine needs but ``work_dir`` and ``launcher``.

    Args:
        data (str): Folder with train/ and val/.
        model (Module): What timm makes of ``model_cfg``: asked for its normalization, its crop
            and the parameters that do not decay.
        model_cfg (dict): ``name`` and ``kwargs`` of :class:`TimmClassifier`.
        encryption (dict): ``name``, ``patch_size``, ``grid`` of :class:`ImageEncryption`.
        recipe (Recipe): How to train.
        seed (int): Of everything random.
        num_workers (int): Of each data loader.
        normalization (Mapping, optional): ``mean`` and ``std`` of the channels, 0 to 1, in place of
            the model's.

    Raises:
        FileNotFoundError: The data have no train or val.
        ValueError: The two do not have the same classes, or fewer images than a batch.
    """
    train, val = (_data_set(find_split(data, split), model, encryption, recipe, seed,
                            split == 'train', normalization or {}) for split in ('train', 'val'))
    classes = _check_data(train, val, recipe.batch_size)
    kwargs = dict(model_cfg['kwargs'], num_classes=len(classes))
    train['classes'] = val['classes'] = classes
    loader = dict(batch_size=recipe.batch_size, num_workers=num_workers,
                  persistent_workers=num_workers > 0, collate_fn=dict(type='default_collate'))
    return Config(dict(
        default_scope='mmdet',
        model=dict(type='TimmClassifier', name=model_cfg['name'], kwargs=kwargs,
                   mixup=recipe.mixup, cutmix=recipe.cutmix,
                   label_smoothing=recipe.label_smoothing, **(normalization or {})),
        train_dataloader=dict(dataset=train, drop_last=True,
                              sampler=dict(type='DefaultSampler', shuffle=True), **loader),
        val_dataloader=dict(dataset=val, sampler=dict(type='DefaultSampler', shuffle=False),
                            **loader),
        val_evaluator=dict(type='TopAccuracy'),
        train_cfg=dict(by_epoch=True, max_epochs=recipe.epochs, val_interval=1),
        val_cfg=dict(),
        **_optimization(model, recipe),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=50),
            checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2,
                            save_best='accuracy/top1', rule='greater')),
        custom_hooks=[dict(type='CheckedLoadHook'), dict(type='ExportClassifierHook')],
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
        recipe=asdict(recipe), randomness=dict(seed=seed), load_from=None, resume=False))


def _data_set(root: os.PathLike, model: nn.Module, encryption: dict, recipe: Recipe, seed: int,
              training: bool, normalization: Mapping[str, tuple]) -> dict:
    facts = {**resolve_model_data_config(model), **normalization}
    transform = dict(input_size=recipe.img_size, interpolation=facts['interpolation'],
                     mean=tuple(facts['mean']), std=tuple(facts['std']))
    if training:
        transform.update(scale=(recipe.crop, 1.), hflip=recipe.hflip,
                         auto_augment=recipe.auto_augment or None, color_jitter=None)
    else:
        transform.update(crop_pct=recipe.crop_pct or facts['crop_pct'])
    return dict(type='EncryptedImageFolder', root=str(root), transform=transform,
                encryption=encryption, training=training, seed=seed)


def _check_data(train: dict, val: dict, batch_size: int) -> list[str]:
    """Classes of both."""
    images = EncryptedImageFolder(**{k: v for k, v in train.items() if k != 'type'})
    classes = images.classes
    EncryptedImageFolder(**{k: v for k, v in val.items() if k != 'type'}, classes=classes)
    if len(images) < batch_size:
        raise ValueError(f'{train["root"]} has {len(images)} images, fewer than a batch of '
                         f'{batch_size}: choose a smaller --batch-size')
    return classes


def _optimization(model: nn.Module, recipe: Recipe) -> dict:
    """AdamW, a linear warm-up, then half a cosine; vectors and tokens do not decay."""
    undecayed = getattr(model, 'no_weight_decay', set)()
    warmup = recipe.warmup_epochs
    schedule = [dict(type='CosineAnnealingLR', T_max=recipe.epochs - warmup, begin=warmup,
                     end=recipe.epochs, eta_min_ratio=.02, by_epoch=True,
                     convert_to_iter_based=True)]
    if warmup:
        schedule.insert(0, dict(type='LinearLR', start_factor=.002, end=warmup, by_epoch=True,
                                convert_to_iter_based=True))
    return dict(
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=recipe.lr, weight_decay=recipe.weight_decay),
            paramwise_cfg=dict(
                flat_decay_mult=0., norm_decay_mult=0., bias_decay_mult=0.,
                custom_keys={f'model.{name}': dict(decay_mult=0.) for name in undecayed})),
        param_scheduler=schedule,
        auto_scale_lr=dict(base_batch_size=512, enable=True))
