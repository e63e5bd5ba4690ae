"""Learned protection for classifiers: train one on plain images, freeze it, train a protector."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmppvit.classification.protection_config import (
    PAPER,
    SAMPLE,
    ProtectionRecipe,
    classifier_stage,
    data_sets,
    protector_stage,
)
from mmppvit.classification.protection_table import measure
from mmppvit.datasets.synthetic_classes import write_synthetic_classes
from mmppvit.engine import use_amp
from mmppvit.models.classifiers.building import choose_model
from mmppvit.models.protectors import load_protector, save_protector
from mmppvit.utils.atomic import write_atomic

__all__ = ['ProtectionOptions', 'protect_classifiers']


@dataclass
class ProtectionOptions:
    """What to train on what.

    Args:
        models (Sequence[str]): Names in timm's registry.
        data (str, optional): A binary CIFAR, or a folder with train/CLASS/* and val/CLASS/*;
            default: a synthetic sample.
        work_dir (str): Folder of everything that is written.
        num_train (int): Images of the synthetic sample.
        num_val (int): The same.
        vgg (str, optional): ImageNet weights of VGG16 for the perceptual distance.
        round (bool): Round to 8 bit in training, too.
        amp (bool): Mixed precision.
        resume (bool): Go on with what is in the work folder.
        seed (int): Of all draws.
        num_workers (int): Of each data loader.
        recipe (dict): What differs from the recipe; None stands for no difference.
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
    recipe: dict = field(default_factory=dict)


def protect_classifiers(options: ProtectionOptions) -> dict[str, dict[str, float]]:
    """Train both stages of every model, and write ``table.json`` into the work folder.

    Returns:
        dict[str, dict[str, float]]: The row of each model, see
        :mod:`mmppvit.classification.protection_table`.

    Raises:
        FileNotFoundError: A file or folder is missing.
        ValueError: The options do not fit each other, or what was begun before.
    """
    init_default_scope('mmdet')  # a runner does, and with --resume there may be none
    recipe, sets = prepare(options)
    rows = {name: train_both(name, options, recipe, sets) for name in options.models}
    write_atomic(Path(options.work_dir) / 'table.json', json.dumps(rows, indent=1).encode())
    return rows


def prepare(options: ProtectionOptions) -> tuple[ProtectionRecipe, tuple[dict, dict, list[str]]]:
    """Recipe and data; what can be wrong with the options is wrong here."""
    recipe = (PAPER if options.data else SAMPLE).override(**options.recipe)
    for name in options.models:
        choose_model(name, False)
    MODELS.build(dict(type='ProtectionUNet', arch=recipe.protector))
    MODELS.build(perceptual(options))
    _check_settings(options, recipe)
    data = options.data or write_synthetic_classes(
        Path(options.work_dir) / 'synthetic_classes', options.num_train, options.num_val,
        recipe.img_size, options.seed)
    return recipe, data_sets(data, recipe, options.seed)


def _check_settings(options: ProtectionOptions, recipe: ProtectionRecipe) -> None:
    """Refuse to go on with what was begun with other options."""
    path = Path(options.work_dir) / 'settings.json'
    asked = json.loads(json.dumps(dict(
        recipe=vars(recipe), data=options.data, num_train=options.num_train,
        num_val=options.num_val, vgg=options.vgg, round=options.round, amp=options.amp,
        seed=options.seed)))
    if options.resume and path.is_file() and json.loads(path.read_text()) != asked:
        raise ValueError(f'{options.work_dir} was begun with other options ({path}): give the '
                         'same to --resume, or choose another --work-dir')
    write_atomic(path, json.dumps(asked, indent=1).encode())


def perceptual(options: ProtectionOptions) -> dict:
    if options.vgg:
        return dict(type='VGGDistance', checkpoint=options.vgg)
    # A sixteenth of the work, for the sample.
    return dict(type='RandomFeatureDistance', **({} if options.data else dict(channels=(16, 32))))


def train_both(name: str, options: ProtectionOptions, recipe: ProtectionRecipe,
               sets: tuple[dict, dict, list[str]]) -> dict[str, float]:
    """Both stages of one model, as far as they are not done yet; then its row of the table."""
    work = Path(options.work_dir) / name
    both = dict(seed=options.seed, num_workers=options.num_workers)
    weights, protector = work / 'plain/classifier.safetensors', work / 'protector.safetensors'
    plain = classifier_stage(name, sets, recipe, work_dir=work / 'plain', **both)
    if not options.resume:
        forget(weights, work / 'plain/last_checkpoint')
    if not weights.is_file():
        forget(protector, work / 'protected/last_checkpoint')
        train(plain, options)
    cfg = protector_stage(plain.model, str(weights), recipe, perceptual(options), options.round,
                          sets, work_dir=work / 'protected', **both)
    if protector.is_file():
        model = MODELS.build(cfg.model)
        model.protector.load_state_dict(load_protector(protector).network.state_dict())
    else:
        model = train(cfg, options)
        save_protector(protector, model.protector, model.made_for)
    return measure(model, Runner.build_dataloader(cfg.val_dataloader))


def forget(*paths: Path) -> None:
    """So that --resume, now or later, finds nothing of an older run."""
    for path in paths:
        path.unlink(missing_ok=True)


def train(cfg: Config, options: ProtectionOptions):
    """The trained model."""
    cfg.resume = options.resume
    if options.amp:
        use_amp(cfg)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.model
