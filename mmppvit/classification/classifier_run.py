"""Training or evaluating a classifier, PEViT or any other of timm, on encrypted images."""
from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmppvit.classification.config import classification_config
from mmppvit.classification.recipe import DEIT, SAMPLE, Recipe
from mmppvit.datasets.synthetic_classes import write_synthetic_classes
from mmppvit.engine import use_amp
from mmppvit.engine.config_runners import resume_from
from mmppvit.models.checkpoints.to_classifier import load_classifier
from mmppvit.models.classifiers.building import build_classifier, choose_model
from mmppvit.utils.cpu_dist import leave_dist, prepare_cpu_dist

__all__ = ['ClassifierOptions', 'run_classifier']

SAMPLE_DEPTH = 3  # blocks of the vision transformers that train on the synthetic sample


@dataclass
class ClassifierOptions:
    """What to train on what.

    Args:
        model (str): Name in timm's registry.
        model_kwargs (dict): Arguments of the model.
        data (str, optional): Folder with train/CLASS/* and val/CLASS/*; default: a synthetic one.
        encrypt (str): 'plain', 'rs', 'mi' or 'mi+rs'.
        patch_size (int): Side of a patch of the plain image, in pixels.
        grid (int): Sub-patches per side that 'mi' mixes into one.
        mean (tuple, optional): Of the images, RGB, 0 to 255; default: the model's.
        std (tuple, optional): The same.
        work_dir (str, optional): Default: work_dirs/classify_MODEL_ENCRYPT.
        num_train (int): Images of the synthetic sample.
        num_val (int): The same.
        amp (bool): Mixed precision.
        resume (str, optional): Checkpoint to go on from, or 'auto'.
        init (str, optional): Weights to start from.
        eval_only (str, optional): Weights to evaluate, without training.
        ema (bool): Evaluate and save averaged weights.
        seed (int): Of all draws.
        num_workers (int): Of each data loader.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.
        recipe (dict): What differs from the recipe; None stands for no difference.
    """
    model: str = 'pevit_tiny_patch16_224'
    model_kwargs: dict = field(default_factory=dict)
    data: str | None = None
    encrypt: str = 'plain'
    patch_size: int = 16
    grid: int = 2
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    work_dir: str | None = None
    num_train: int = 1200
    num_val: int = 400
    amp: bool = False
    resume: str | None = None
    init: str | None = None
    eval_only: str | None = None
    ema: bool = False
    seed: int = 0
    num_workers: int = 0
    launcher: str = 'none'
    recipe: dict = field(default_factory=dict)


def run_classifier(options: ClassifierOptions) -> str | None:
    """Train, or evaluate; the result in one line, None in processes that do not report.

    Raises:
        FileNotFoundError: A file or folder is missing.
        ValueError: The options do not fit each other.
    """
    cfg = prepare_config(options)
    metrics = run(cfg, options)
    text = report(metrics, cfg) if is_main_process() else None
    leave_dist()
    return text


def choose_recipe(options: ClassifierOptions) -> Recipe:
    return (DEIT if options.data else SAMPLE).override(**options.recipe)


def prepare_data(options: ClassifierOptions, img_size: int) -> str:
    """Folder of the data set, drawn if none is named."""
    if options.data:
        if not os.path.isdir(options.data):
            raise FileNotFoundError(f'no folder {options.data}: --data names a folder with '
                                    'train/CLASS/* and val/CLASS/*')
        return options.data
    if options.launcher != 'none':
        raise ValueError('the synthetic sample is for one process: name your images by --data')
    folder = Path(options.work_dir) / 'synthetic_classes'
    return str(write_synthetic_classes(folder, options.num_train, options.num_val, img_size,
                                       options.seed))


def prepare_config(options: ClassifierOptions) -> Config:
    """The config of the run; everything that can be wrong with the options is wrong here."""
    recipe = choose_recipe(options)
    mixes = options.encrypt.startswith('mi')
    grid = options.grid if mixes else 1
    name = choose_model(options.model, mixes)
    options.work_dir = options.work_dir or f'work_dirs/classify_{name}_{options.encrypt}'
    kwargs = dict(drop_path_rate=recipe.drop_path) if recipe.drop_path else {}
    if not options.data and name.startswith(('pevit_', 'deit_', 'vit_')):
        kwargs['depth'] = SAMPLE_DEPTH
    model, kwargs = build_classifier(name, kwargs | options.model_kwargs, recipe.img_size,
                                     options.patch_size, grid)
    cfg = classification_config(
        prepare_data(options, recipe.img_size), model, dict(name=name, kwargs=kwargs),
        dict(name=options.encrypt, patch_size=options.patch_size, grid=grid), recipe, options.seed,
        options.num_workers, {name: tuple(value / 255 for value in values) for name, values in (
            ('mean', options.mean), ('std', options.std)) if values})
    cfg.work_dir, cfg.launcher = options.work_dir, options.launcher
    apply_options(cfg, options, recipe)
    prepare_cpu_dist(cfg)
    return cfg


def apply_options(cfg: Config, options: ClassifierOptions, recipe: Recipe) -> None:
    if options.amp:
        use_amp(cfg)
    if options.eval_only:
        cfg.default_hooks.checkpoint.save_best = None  # there is nothing to save
    elif options.ema:
        cfg.custom_hooks.append(dict(type='EMAHook', ema_type='ExpMomentumEMA', gamma=100,
                                     momentum=1 - recipe.ema_decay))
    resume_from(cfg, options.resume)


def run(cfg: Config, options: ClassifierOptions) -> dict[str, float]:
    """Metrics of the evaluation, or of the last one of training."""
    for checkpoint in (options.init, options.eval_only):
        if checkpoint and not os.path.isfile(checkpoint):
            raise FileNotFoundError(f'no checkpoint {checkpoint}: name a .pth or .safetensors')
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


def report(metrics: dict[str, float], cfg: Config) -> str:
    figures = ', '.join(f'{name.split("/")[1].replace("top", "top-")} {value:.1f} %'
                        for name, value in metrics.items())
    encryption = cfg.val_dataloader.dataset.encryption.name
    return f'{cfg.model.name} on {encryption} images: {figures}'
