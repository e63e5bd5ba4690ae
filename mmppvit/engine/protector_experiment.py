"""Learned protection of classifiers in two stages: the experiment of Ito et al., IEEE Access 2021.

Stage 1 trains a classifier on plain images; stage 2 freezes it and trains a protector for it.
"""
from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from mmppvit.datasets.cifar import is_cifar
from mmppvit.datasets.synthetic_classes import write_synthetic_classes
from mmppvit.engine.classifier_config import set_class_folders, set_classes, set_loaders
from mmppvit.engine.optim import use_amp
from mmppvit.evaluation.protected_accuracy import measure
from mmppvit.models.classifiers.building import choose_model
from mmppvit.models.protectors import load_protector
from mmppvit.utils.atomic import write_atomic
from mmppvit.utils.config_files import find_config

__all__ = ['ProtectionOptions', 'protect_classifiers', 'stage_configs']

# Stage 1 and stage 2, of which the name of the classifier is overridden.
_PAPER = 'classification/resnet20_plain_cifar10', 'protectors/resnet20_paper_cifar10'
_SYNTHETIC = 'classification/resnet20_plain_synthetic', 'protectors/resnet20_light_synthetic'


@dataclass
class ProtectionOptions:
    """What differs from the configs of the experiment.

    Args:
        models (Sequence[str]): Classifiers, by name in timm's registry.
        data (str, optional): A binary CIFAR, or a folder with train/CLASS/* and val/CLASS/*, for
            the schedule of Ito et al.; default: synthetic images and a short schedule.
        work_dir (str): Folder of everything that is written.
        num_train (int): Number of synthetic images to train on.
        num_val (int): Number of synthetic images to test on.
        vgg (str, optional): ImageNet weights of VGG16 for the perceptual distance; default: random
            features.
        round (bool): Round to 8 bit in training, too.
        amp (bool): Mixed precision.
        resume (bool): Continue with what is in the work folder.
        seed (int): Of everything random.
        num_workers (int): Of each data loader.
        recipe (Mapping): Values by option, None for that of the configs: ``epochs
            protector_epochs batch_size lr weight_decay alpha protector img_size``.
    """
    models: Sequence[str] = ('resnet20_cifar', 'vgg16_bn_cifar')
    data: str | None = None
    work_dir: str = 'work_dirs/protector_classifier'
    num_train: int = 1200
    num_val: int = 400
    vgg: str | None = None
    round: bool = False
    amp: bool = False
    resume: bool = False
    seed: int = 0
    num_workers: int = 0
    recipe: Mapping[str, object] = field(default_factory=dict)


def protect_classifiers(options: ProtectionOptions) -> dict[str, dict[str, float]]:
    """Train both stages of every model, and write ``table.json`` into the work folder.

    Returns:
        dict[str, dict[str, float]]: The figures of each model, see
        :func:`mmppvit.evaluation.protected_accuracy.measure`.

    Raises:
        FileNotFoundError: A file or folder is missing.
        ValueError: The options do not fit each other, or the run that is to be resumed.
    """
    init_default_scope('mmdet')  # a runner does this, and with --resume there may be none
    for name in options.models:
        choose_model(name, False)
    stages = stage_configs(options)
    MODELS.build(stages[1].model.protector)
    MODELS.build(stages[1].model.perceptual)
    _check_settings(options)
    rows = {name: _train_both(name, options, *stages) for name in options.models}
    write_atomic(Path(options.work_dir) / 'table.json', json.dumps(rows, indent=1).encode())
    return rows


def stage_configs(options: ProtectionOptions) -> tuple[Config, Config]:
    """Both stages with every option but the classifier and the paths of weights.

    Raises:
        FileNotFoundError: A file or folder is missing.
        ValueError: An option is out of range, or does not fit the data.
    """
    given = {name: value for name, value in options.recipe.items() if value is not None}
    _check_ranges(given)
    stages = tuple(Config.fromfile(find_config(name))
                   for name in (_PAPER if options.data else _SYNTHETIC))
    _set_protection(stages[1], options, given)
    _set_data(stages, options, given)
    for cfg, epochs in zip(stages, ('epochs', 'protector_epochs'), strict=True):
        _set_schedule(cfg, given.get(epochs), given)
        set_loaders(cfg, options.seed, options.num_workers)
        if options.amp:
            use_amp(cfg)
    set_classes(stages[0])
    _share_classes(*stages)
    return stages


def _check_ranges(given: Mapping[str, object]) -> None:
    for name in ('epochs', 'protector_epochs', 'batch_size'):
        if given.get(name, 1) < 1:
            raise ValueError(f'--{name.replace("_", "-")} must be at least 1, got {given[name]}')
    if given.get('img_size', 32) < 32:
        raise ValueError(f'--img-size must be at least 32, got {given["img_size"]}')
    if given.get('lr', 1.) <= 0:
        raise ValueError(f'--lr must be positive, got {given["lr"]}')
    if given.get('alpha', 0.) < 0:
        raise ValueError(f'--alpha must not be negative, got {given["alpha"]}')


def _set_protection(cfg: Config, options: ProtectionOptions, given: Mapping[str, object]) -> None:
    """Protector, distance and rounding of stage 2."""
    if options.vgg:
        cfg.model.perceptual = ConfigDict(type='VGGDistance', checkpoint=options.vgg)
    elif options.data:
        cfg.model.perceptual = ConfigDict(type='RandomFeatureDistance')
    cfg.model.quantize = options.round
    if 'alpha' in given:
        cfg.model.alpha = given['alpha']
    if 'protector' in given:
        cfg.model.protector.arch = given['protector']


def _set_data(stages: tuple[Config, Config], options: ProtectionOptions,
              given: Mapping[str, object]) -> None:
    """Let both stages read ``options.data``, or synthetic images that are written first."""
    root = options.data
    if root and not os.path.isdir(root):
        raise FileNotFoundError(f'no folder {root}: --data names one of classes, or a binary CIFAR')
    cifar = bool(root) and is_cifar(root)
    folders = Config.fromfile(find_config(_SYNTHETIC[0]))
    for cfg in stages:
        for loader in ('train_dataloader', 'val_dataloader'):
            if cifar:
                cfg[loader].dataset.root = str(root)
            else:
                cfg[loader].dataset = folders[loader].dataset
                cfg[loader].dataset.transform.input_size = given.get('img_size', 32)
            cfg[loader].batch_size = given.get('batch_size', cfg[loader].batch_size)
    if not cifar:
        root = root or write_synthetic_classes(
            Path(options.work_dir) / 'synthetic_classes', options.num_train, options.num_val,
            given.get('img_size', 32), options.seed)
        for cfg in stages:
            set_class_folders(cfg, root)


def _set_schedule(cfg: Config, epochs: int | None, given: Mapping[str, object]) -> None:
    """Epochs, with the steps of the learning rate after 30, 60 and 80 % of them, and optimizer."""
    for name in ('lr', 'weight_decay'):
        if name in given:
            cfg.optim_wrapper.optimizer[name] = given[name]
    if epochs is not None:
        cfg.train_cfg.max_epochs = epochs
        cfg.param_scheduler[-1].milestones = sorted(
            {round(share * epochs) for share in (.3, .6, .8)} - {0})


def _share_classes(first: Config, second: Config) -> None:
    """Let stage 2 read what stage 1 reads, and hold its classifier."""
    for loader in ('train_dataloader', 'val_dataloader'):
        second[loader].dataset = first[loader].dataset
    second.model.classifier = first.model


def _check_settings(options: ProtectionOptions) -> None:
    """Refuse to resume a run that was begun with other options."""
    path = Path(options.work_dir) / 'settings.json'
    asked = json.loads(json.dumps(dict(
        recipe={name: value for name, value in options.recipe.items() if value is not None},
        **{name: getattr(options, name) for name in (
            'data', 'num_train', 'num_val', 'vgg', 'round', 'amp', 'seed')})))
    if options.resume and path.is_file() and json.loads(path.read_text()) != asked:
        raise ValueError(f'{options.work_dir} was begun with other options ({path}): give the same '
                         'to --resume, or choose another --work-dir')
    write_atomic(path, json.dumps(asked, indent=1).encode())


def _train_both(name: str, options: ProtectionOptions, first: Config, second: Config
                ) -> dict[str, float]:
    """Both stages of one classifier, where they are not done yet; then its figures."""
    work = Path(options.work_dir) / name
    weights = work / 'plain/classifier.safetensors'
    protector = work / 'protected/protector.safetensors'
    for cfg, folder in ((first, 'plain'), (second, 'protected')):
        cfg.work_dir, cfg.resume = str(work / folder), options.resume
    first.model.name = second.model.classifier.name = name
    second.model.checkpoint = str(weights)
    if not options.resume:
        _forget(weights, work / 'plain/last_checkpoint')
    if not weights.is_file():
        _forget(protector, work / 'protected/last_checkpoint')
        _train(first)
    if protector.is_file():
        model = MODELS.build(second.model)
        model.protector.load_state_dict(load_protector(protector).network.state_dict())
    else:
        model = _train(second)
    return measure(model, Runner.build_dataloader(second.val_dataloader))


def _forget(*paths: Path) -> None:
    """Delete what --resume, now or later, would take for a part of this run."""
    for path in paths:
        path.unlink(missing_ok=True)


def _train(cfg: Config) -> nn.Module:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.model
