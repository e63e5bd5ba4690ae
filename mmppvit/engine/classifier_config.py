"""Configs of classifiers, fitted to a data set, a model and an encryption."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict
from timm.data import resolve_model_data_config
from torch import nn

from mmppvit.datasets.encrypted_image_folder import find_split
from mmppvit.datasets.image_encryption import encryption_name, mixes
from mmppvit.models.classifiers.building import build_classifier, choose_model

__all__ = ['apply_recipe', 'set_class_folders', 'set_classes', 'set_encryption', 'set_loaders',
           'set_model', 'set_normalization']

_LOADERS = ('train_dataloader', 'val_dataloader')
_TRAIN, _VAL = (f'{loader}.dataset.transform' for loader in _LOADERS)
# Options of a recipe and the fields of a config that they set.
_FIELDS = dict(
    lr=('optim_wrapper.optimizer.lr', ), weight_decay=('optim_wrapper.optimizer.weight_decay', ),
    batch_size=tuple(f'{loader}.batch_size' for loader in _LOADERS),
    img_size=(f'{_TRAIN}.input_size', f'{_VAL}.input_size'), hflip=(f'{_TRAIN}.hflip', ),
    crop_pct=(f'{_VAL}.crop_pct', ), mixup=('model.mixup', ), cutmix=('model.cutmix', ),
    label_smoothing=('model.label_smoothing', ), drop_path=('model.kwargs.drop_path_rate', ))


def apply_recipe(cfg: Config, recipe: Mapping[str, object]) -> None:
    """Override how a classifier is trained.

    Args:
        cfg (Config): With a :class:`TimmClassifier` and :class:`EncryptedImageFolder`; changed.
        recipe (Mapping): Values by option; None keeps that of the config. ``epochs batch_size
            warmup_epochs lr weight_decay drop_path mixup cutmix label_smoothing auto_augment crop
            hflip crop_pct img_size ema_decay``.

    Raises:
        ValueError: A value is out of range.
    """
    given = {name: value for name, value in recipe.items() if value is not None}
    _check_ranges(given)
    for name, fields in _FIELDS.items():
        if name in given:
            cfg.merge_from_dict(dict.fromkeys(fields, given[name]))
    transform = cfg.train_dataloader.dataset.transform
    if 'crop' in given:
        transform.scale = (given['crop'], 1.)
    if 'auto_augment' in given:
        transform.auto_augment = given['auto_augment'] or None
    if 'ema_decay' in given:
        cfg.ema_hook.momentum = 1 - given['ema_decay']
    _set_epochs(cfg, given.get('epochs'), given.get('warmup_epochs'))
    batch_size = cfg.train_dataloader.batch_size
    if (cfg.model.get('mixup') or cfg.model.get('cutmix')) and batch_size % 2:
        raise ValueError(f'--batch-size {batch_size} is odd, and mixup and cutmix pair images up: '
                         'choose an even one, or --mixup 0 --cutmix 0')


def _check_ranges(given: Mapping[str, object]) -> None:
    for name in ('epochs', 'batch_size', 'img_size'):
        if given.get(name, 1) < 1:
            raise ValueError(f'--{name.replace("_", "-")} must be at least 1, got {given[name]}')
    for name in ('crop', 'crop_pct'):
        if not 0 < given.get(name, 1) <= 1:
            raise ValueError(f'--{name.replace("_", "-")} {given[name]} is not a share of an '
                             'image: choose more than 0, and 1 for the whole')
    if not 0 <= given.get('hflip', 0) <= 1:
        raise ValueError(f'--hflip {given["hflip"]} is not a share of the images: choose 0 to 1')


def _set_epochs(cfg: Config, epochs: int | None, warmup: int | None) -> None:
    """Another number of epochs, or of those that warm up; short runs warm up over a part."""
    if epochs is None and warmup is None:
        return
    steps = {step.type: step for step in cfg.param_scheduler}
    if not steps.keys() <= {'LinearLR', 'CosineAnnealingLR'} or 'CosineAnnealingLR' not in steps:
        raise ValueError('--epochs and --warmup-epochs need a config whose param_scheduler is '
                         'LinearLR, then CosineAnnealingLR')
    epochs = cfg.train_cfg.max_epochs if epochs is None else epochs
    if warmup is None:
        warmup = steps['LinearLR'].end if 'LinearLR' in steps else 0
    if warmup >= epochs:
        warmup = epochs // 5
    steps['CosineAnnealingLR'].update(T_max=epochs - warmup, begin=warmup, end=epochs)
    linear = steps.get('LinearLR', ConfigDict(
        type='LinearLR', start_factor=.002, by_epoch=True, convert_to_iter_based=True))
    linear.end = warmup
    cfg.param_scheduler = [*([linear] if warmup else []), steps['CosineAnnealingLR']]
    cfg.train_cfg.max_epochs = epochs


def set_encryption(cfg: Config, name: str | None = None, patch_size: int | None = None,
                   grid: int | None = None) -> None:
    """Override the encryption of both data sets; None keeps the value of the config.

    Args:
        cfg (Config): Changed in place.
        name (str, optional): One of :data:`ENCRYPTIONS`.
        patch_size (int, optional): Side of a patch of the plain image in pixels.
        grid (int, optional): Sub-patches per side; without effect if ``name`` does not mix.
    """
    given = dict(name=name and encryption_name(name), patch_size=patch_size, grid=grid)
    given = {key: value for key, value in given.items() if value is not None}
    for loader in _LOADERS:
        cfg[loader].dataset.encryption = ConfigDict(
            {**cfg[loader].dataset.encryption, **given})


def set_model(cfg: Config, name: str | None = None, kwargs: Mapping[str, object] = {}) -> None:
    """Choose the model and fit it to the size and the encryption of the images.

    For mixed images the ``_mix`` model of the same name is taken if timm has one. Another model
    than the config's brings its own normalization and interpolation; its ``crop_pct``, too, unless
    the config evaluates whole images.

    Args:
        cfg (Config): Changed in place, after :func:`set_encryption` and :func:`apply_recipe`.
        name (str, optional): In timm's registry; default: that of the config.
        kwargs (Mapping): Further arguments of ``timm.create_model``.

    Raises:
        ValueError: There is no such model, or it does not fit the images.
    """
    dataset, before = cfg.train_dataloader.dataset, cfg.model.name
    encryption = dataset.encryption
    mixed = mixes(encryption.name)
    name = choose_model(name or before, mixed)
    model, arguments = build_classifier(
        name, _carried_kwargs(cfg.model, name) | dict(kwargs), dataset.transform.input_size,
        encryption.get('patch_size', 16), encryption.get('grid', 2) if mixed else 1)
    cfg.model.name = name
    cfg.model.kwargs = ConfigDict(arguments, num_classes=cfg.model.kwargs.get('num_classes', 1000))
    if name != before:
        _set_image_facts(cfg, model)


def _carried_kwargs(model: ConfigDict, name: str) -> dict:
    """Arguments of the config's model that the model ``name`` gets, too."""
    kwargs = {key: value for key, value in model.kwargs.items() if key != 'num_classes'}
    if not kwargs.get('drop_path_rate', 1):
        kwargs.pop('drop_path_rate')
    if name == model.name and not name.startswith('pevit_'):
        return kwargs
    for key in ('patch_size', 'grid'):  # follow from the encryption
        kwargs.pop(key, None)
    if not name.startswith(('pevit_', 'deit_', 'vit_')):
        kwargs = {key: value for key, value in kwargs.items() if key == 'drop_path_rate'}
    return kwargs


def _set_image_facts(cfg: Config, model: nn.Module) -> None:
    facts = resolve_model_data_config(model)
    train, val = (cfg[loader].dataset.transform for loader in _LOADERS)
    train.interpolation = val.interpolation = facts['interpolation']
    train.mean = cfg.model.get('mean') or facts['mean']
    if val.get('crop_pct') != 1:
        val.crop_pct = facts['crop_pct']


def set_normalization(cfg: Config, mean: Sequence[float] | None = None,
                      std: Sequence[float] | None = None) -> None:
    """Normalize by other values than the model's.

    Args:
        cfg (Config): Changed in place.
        mean (Sequence[float], optional): Of the channels, RGB, 0 to 255.
        std (Sequence[float], optional): The same.
    """
    for key, values in (('mean', mean), ('std', std)):
        if values:
            cfg.model[key] = tuple(value / 255 for value in values)
    if mean:
        cfg.train_dataloader.dataset.transform.mean = cfg.model.mean


def set_loaders(cfg: Config, seed: int, num_workers: int) -> None:
    """Set the seed of everything random, and the number of workers of each data loader."""
    cfg.merge_from_dict({'randomness.seed': seed})
    for loader in _LOADERS:
        cfg[loader].update(num_workers=num_workers, persistent_workers=num_workers > 0)
        if cfg[loader].dataset.type == 'EncryptedImageFolder':
            cfg[loader].dataset.seed = seed


def set_class_folders(cfg: Config, root: str | Path) -> None:
    """Read the splits of another folder with train/CLASS/* and val/CLASS/*.

    Raises:
        FileNotFoundError: A split is missing.
    """
    for loader, split in zip(_LOADERS, ('train', 'val'), strict=True):
        cfg[loader].dataset.root = str(find_split(root, split))


def set_classes(cfg: Config) -> None:
    """Let the model and both data sets have the classes of the training images.

    Raises:
        FileNotFoundError: A folder or file of the data is missing.
        ValueError: A data set is incomplete, the two have different classes, or there are fewer
            images than a batch.
    """
    train, val = (cfg[loader].dataset for loader in _LOADERS)
    images = DATASETS.build(train)
    classes = list(images.classes)
    DATASETS.build(dict(val, classes=classes))
    batch_size = cfg.train_dataloader.batch_size
    if len(images) < batch_size:
        raise ValueError(f'{train.root} has {len(images)} images to train on, fewer than a batch '
                         f'of {batch_size}: choose a smaller --batch-size')
    train.classes = val.classes = classes
    cfg.model.kwargs.num_classes = len(classes)
