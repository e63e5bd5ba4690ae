"""Training and evaluation of classifiers on encrypted images."""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmppvit.datasets.synthetic_classes import write_synthetic_classes
from mmppvit.engine.classifier_config import (
    apply_recipe,
    set_class_folders,
    set_classes,
    set_encryption,
    set_loaders,
    set_model,
    set_normalization,
)
from mmppvit.engine.config_runners import resume_from
from mmppvit.engine.optim import use_amp
from mmppvit.models.checkpoints.to_classifier import load_classifier
from mmppvit.utils.config_files import find_config
from mmppvit.utils.cpu_dist import leave_dist, prepare_cpu_dist

__all__ = ['DEIT_CONFIG', 'SYNTHETIC_CONFIG', 'ClassifierOptions', 'classifier_config',
           'run_classifier']

DEIT_CONFIG = 'classification/pevit-tiny_plain_imagenet'
SYNTHETIC_CONFIG = 'classification/pevit-tiny_plain_synthetic'


@dataclass
class ClassifierOptions:
    """What differs from a config; None keeps the config's value.

    Args:
        config (str, optional): Config file, or the name of a packaged one; default:
            :data:`DEIT_CONFIG` with ``data``, :data:`SYNTHETIC_CONFIG` without.
        data (str, optional): Folder with train/CLASS/* and val/CLASS/*. Without it and without
            ``config``, synthetic images are written into the work folder.
        model (str, optional): Name in timm's registry.
        model_kwargs (Mapping): Arguments of the model.
        encrypt (str, optional): 'plain', 'mix', 'shuffle', 'mix+shuffle', ...
        patch_size (int, optional): Side of a patch of the plain image, in pixels.
        grid (int, optional): Sub-patches per side that are mixed into one.
        mean (Sequence[float], optional): Of the images, RGB, 0 to 255; default: the model's.
        std (Sequence[float], optional): The same.
        recipe (Mapping): Values of :func:`apply_recipe`.
        work_dir (str, optional): Default: work_dirs/classify_MODEL_ENCRYPT.
        num_train (int): Number of synthetic images to train on.
        num_val (int): Number of synthetic images to test on.
        amp (bool): Mixed precision.
        ema (bool): Evaluate and save averaged weights.
        resume (str, optional): Checkpoint to go on from; 'auto' for the latest one.
        init (str, optional): Weights to start from.
        eval_only (str, optional): Weights to evaluate, without training.
        seed (int): Of everything random.
        num_workers (int): Of each data loader.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.
    """
    config: str | None = None
    data: str | None = None
    model: str | None = None
    model_kwargs: Mapping[str, object] = field(default_factory=dict)
    encrypt: str | None = None
    patch_size: int | None = None
    grid: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    recipe: Mapping[str, object] = field(default_factory=dict)
    work_dir: str | None = None
    num_train: int = 1200
    num_val: int = 400
    amp: bool = False
    ema: bool = False
    resume: str | None = None
    init: str | None = None
    eval_only: str | None = None
    seed: int = 0
    num_workers: int = 0
    launcher: str = 'none'


def run_classifier(options: ClassifierOptions) -> str | None:
    """Train, or evaluate.

    Returns:
        str | None: The accuracy in one line; None in processes that do not report.

    Raises:
        FileNotFoundError: A file or folder is missing.
        ValueError: The options do not fit each other.
    """
    cfg = classifier_config(options)
    metrics = _run(cfg, options)
    text = _describe(metrics, cfg) if is_main_process() else None
    leave_dist()
    return text


def classifier_config(options: ClassifierOptions) -> Config:
    """The whole config of a run.

    Raises:
        FileNotFoundError: A file or folder is missing.
        ValueError: The options do not fit each other.
    """
    cfg = Config.fromfile(find_config(
        options.config or (DEIT_CONFIG if options.data else SYNTHETIC_CONFIG)))
    if any(cfg[loader].dataset.type != 'EncryptedImageFolder'
           for loader in ('train_dataloader', 'val_dataloader')):
        raise ValueError(f'{options.config} does not read class folders (EncryptedImageFolder): '
                         'train it with tools/train.py')
    set_encryption(cfg, options.encrypt, options.patch_size, options.grid)
    apply_recipe(cfg, options.recipe)
    set_model(cfg, options.model, options.model_kwargs)
    set_normalization(cfg, options.mean, options.std)
    set_loaders(cfg, options.seed, options.num_workers)
    encryption = cfg.train_dataloader.dataset.encryption.name
    cfg.work_dir = options.work_dir or f'work_dirs/classify_{cfg.model.name}_{encryption}'
    _set_data(cfg, options)
    set_classes(cfg)
    _set_run(cfg, options)
    return cfg


def _set_data(cfg: Config, options: ClassifierOptions) -> None:
    """Read ``options.data``, or write synthetic images if nothing is named."""
    if options.data:
        if not os.path.isdir(options.data):
            raise FileNotFoundError(f'no folder {options.data}: --data names a folder with '
                                    'train/CLASS/* and val/CLASS/*')
        set_class_folders(cfg, options.data)
    elif options.config is None:
        if options.launcher != 'none':
            raise ValueError('synthetic images are for one process: name your images by --data')
        set_class_folders(cfg, write_synthetic_classes(
            Path(cfg.work_dir) / 'synthetic_classes', options.num_train, options.num_val,
            cfg.train_dataloader.dataset.transform.input_size, options.seed))


def _set_run(cfg: Config, options: ClassifierOptions) -> None:
    cfg.launcher = options.launcher
    if options.amp:
        use_amp(cfg)
    if options.eval_only:
        cfg.default_hooks.checkpoint.save_best = None  # there is nothing to save
    elif options.ema:
        cfg.custom_hooks.append(cfg.ema_hook)
    resume_from(cfg, options.resume)
    for checkpoint in (options.init, options.eval_only):
        if checkpoint and not os.path.isfile(checkpoint):
            raise FileNotFoundError(f'no checkpoint {checkpoint}: name a .pth or .safetensors')
    prepare_cpu_dist(cfg)


def _run(cfg: Config, options: ClassifierOptions) -> dict[str, float]:
    """Metrics of the evaluation, or of the last one of training."""
    runner = Runner.from_cfg(cfg)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if options.eval_only:
        load_classifier(model.model, options.eval_only)
        return runner.val()
    if options.init:
        load_classifier(model.model, options.init, strict=False)
    runner.train()
    scalars = runner.message_hub.log_scalars
    return {name: scalars[f'val/{name}'].current()
            for name in ('accuracy/top1', 'accuracy/top5') if f'val/{name}' in scalars}


def _describe(metrics: dict[str, float], cfg: Config) -> str:
    figures = ', '.join(f'{name.split("/")[1].replace("top", "top-")} {value:.1f} %'
                        for name, value in metrics.items())
    encryption = cfg.val_dataloader.dataset.encryption.name
    return f'{cfg.model.name} on {encryption} images: {figures}'
