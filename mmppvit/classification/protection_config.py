"""The two stages of learned protection for classifiers, as configs for MMEngine's runner."""
from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace

from mmengine.config import Config

from mmppvit.datasets.cifar import CifarBinary, is_cifar
from mmppvit.datasets.encrypted_image_folder import EncryptedImageFolder, find_split

__all__ = ['PAPER', 'SAMPLE', 'ProtectionRecipe', 'classifier_stage', 'data_sets',
           'protector_stage']


@dataclass(frozen=True)
class ProtectionRecipe:
    """How to train both; the defaults are those of Ito et al. (IEEE Access 2021): SGD with momentum
    0.9, its rate times 0.2 after 30, 60 and 80 % of the epochs.

    ``lr`` is for both stages; ``warmup`` iterations lead up to it. ``crop`` is the least share of
    an image that a training crop shows, of folders; CIFAR is augmented as in the paper.
    """
    epochs: int = 200
    protector_epochs: int = 200
    batch_size: int = 128
    lr: float = .1
    weight_decay: float = 5e-4
    warmup: int = 0
    protector: str = 'paper'
    alpha: float = .01
    img_size: int = 32
    crop: float = .6

    def override(self, **values) -> ProtectionRecipe:
        """With those of ``values`` that are not None.

        Raises:
            ValueError: A value makes no sense.
        """
        recipe = replace(self, **{key: value for key, value in values.items()
                                  if value is not None})
        for name in ('epochs', 'protector_epochs', 'batch_size'):
            if getattr(recipe, name) < 1:
                raise ValueError(f'--{name.replace("_", "-")} must be at least 1, got '
                                 f'{getattr(recipe, name)}')
        if recipe.img_size < 32:
            raise ValueError(f'--img-size must be at least 32, got {recipe.img_size}')
        if recipe.lr <= 0 or recipe.alpha < 0:
            raise ValueError(f'--lr {recipe.lr} must be positive and --alpha {recipe.alpha} not '
                             'negative')
        return recipe


PAPER = ProtectionRecipe()
SAMPLE = ProtectionRecipe(epochs=16, protector_epochs=12, batch_size=32, lr=.01, warmup=20,
                          protector='light')


def data_sets(root: str | os.PathLike, recipe: ProtectionRecipe, seed: int = 0
              ) -> tuple[dict, dict, list[str]]:
    """Configs of the training and the test set, and the classes.

    Args:
        root (str | PathLike): A binary CIFAR, or a folder with train/CLASS/* and val/CLASS/*.
        recipe (ProtectionRecipe): Sizes.
        seed (int): Of everything random.

    Raises:
        FileNotFoundError: There is no such data set.
        ValueError: It is not whole, the two do not have the same classes, or fewer images than a
            batch.
    """
    if not os.path.isdir(root):
        raise FileNotFoundError(f'no folder {root}: --data names one of classes, or a binary CIFAR')
    if is_cifar(root):
        cfgs = [dict(type='CifarBinary', root=str(root), split=split, training=split == 'train')
                for split in ('train', 'val')]
        kind = CifarBinary
    else:
        cfgs = [_folder(find_split(root, split), split == 'train', recipe, seed)
                for split in ('train', 'val')]
        kind = EncryptedImageFolder
    train, test = cfgs
    found = kind(**{key: value for key, value in train.items() if key != 'type'})
    kind(**{key: value for key, value in test.items() if key != 'type'}, classes=found.classes)
    if len(found) < recipe.batch_size:
        raise ValueError(f'{root} has {len(found)} images to train on, fewer than a batch of '
                         f'{recipe.batch_size}: choose a smaller --batch-size')
    return train, test, list(found.classes)


def _folder(root: os.PathLike, training: bool, recipe: ProtectionRecipe, seed: int) -> dict:
    transform = dict(input_size=recipe.img_size, interpolation='bilinear')
    transform.update(dict(scale=(recipe.crop, 1.), color_jitter=None) if training
                     else dict(crop_pct=1.))
    return dict(type='EncryptedImageFolder', root=str(root), transform=transform, seed=seed,
                encryption=dict(name='plain', patch_size=1), training=training)


def classifier_stage(name: str, sets: tuple[dict, dict, list[str]], recipe: ProtectionRecipe,
                     **options) -> Config:
    """Stage 1: the classifier on plain images.

    Args:
        name (str): Of the model in timm's registry.
        sets (tuple): Of :func:`data_sets`.
        recipe (ProtectionRecipe): How to train.
        **options: ``work_dir``, ``seed`` and ``num_workers``.
    """
    model = dict(type='TimmClassifier', name=name, kwargs=dict(num_classes=len(sets[2])))
    cfg = _stage(model, sets, recipe, recipe.epochs, **options)
    cfg.custom_hooks.append(dict(type='ExportClassifierHook'))
    return cfg


def protector_stage(classifier: Config, checkpoint: str, recipe: ProtectionRecipe,
                    perceptual: dict, quantize: bool, sets: tuple[dict, dict, list[str]],
                    **options) -> Config:
    """Stage 2: the protector, with the classifier of stage 1 frozen.

    Args:
        classifier (Config): ``model`` of stage 1.
        checkpoint (str): Its weights.
        recipe (ProtectionRecipe): How to train.
        perceptual (dict): The distance, see :class:`ProtectedClassifier`.
        quantize (bool): Round to 8 bit in training.
        sets, **options: As of stage 1.
    """
    model = dict(type='ProtectedClassifier', classifier=classifier, checkpoint=checkpoint,
                 protector=dict(type='ProtectionUNet', arch=recipe.protector), alpha=recipe.alpha,
                 perceptual=perceptual, quantize=quantize)
    return _stage(model, sets, recipe, recipe.protector_epochs, **options)


def _stage(model: dict, sets: tuple[dict, dict, list[str]], recipe: ProtectionRecipe, epochs: int,
           work_dir: str, seed: int = 0, num_workers: int = 0) -> Config:
    loader = dict(batch_size=recipe.batch_size, num_workers=num_workers,
                  persistent_workers=num_workers > 0, collate_fn=dict(type='default_collate'))
    return Config(dict(
        default_scope='mmdet', model=model, work_dir=str(work_dir),
        train_dataloader=dict(dataset=sets[0], drop_last=True,
                              sampler=dict(type='DefaultSampler', shuffle=True), **loader),
        val_dataloader=dict(dataset=sets[1], sampler=dict(type='DefaultSampler', shuffle=False),
                            **loader),
        val_evaluator=dict(type='TopAccuracy'), val_cfg=dict(),
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(
            type='SGD', lr=recipe.lr, momentum=.9, weight_decay=recipe.weight_decay)),
        param_scheduler=_schedule(epochs, recipe.warmup),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=50),
                           checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1)),
        custom_hooks=[dict(type='CheckedLoadHook', strict=True)],
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
        recipe=asdict(recipe), randomness=dict(seed=seed), load_from=None, resume=False))


def _schedule(epochs: int, warmup: int) -> list[dict]:
    steps = sorted({round(share * epochs) for share in (.3, .6, .8)} - {0})
    schedule = [dict(type='MultiStepLR', milestones=steps, gamma=.2, by_epoch=True)]
    if warmup:
        schedule.insert(0, dict(type='LinearLR', start_factor=.05, begin=0, end=warmup,
                                by_epoch=False))
    return schedule
