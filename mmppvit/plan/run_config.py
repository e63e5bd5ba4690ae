"""The config of one training of a plan."""
from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mmppvit.adapt.adaptation import adapt_stock
from mmppvit.adapt.config_changes import ConfigChanges
from mmppvit.adapt.image_statistics import measure_images, set_statistics
from mmppvit.adapt.pipeline_steps import kind_of
from mmppvit.adapt.scopes import scope_of
from mmppvit.plan.choices import PLAIN, Candidate
from mmppvit.utils.config_files import apply_custom_dataset, find_config, load_config
from mmppvit.utils.config_overrides import override_config, parse_overrides
from mmppvit.utils.leaf_datasets import leaf_datasets

__all__ = ['Budget', 'RunConfig', 'make_run_config', 'set_budget']

VARIABLE = '{{$SCHEME'  # in configs that take the scheme from the environment
WARM_UP = 100  # iterations, at most a tenth of all


@dataclass(frozen=True)
class Budget:
    """How long each training is: as long as the config says, or one of the two.

    Args:
        epochs (int, optional): Whole epochs.
        images_seen (int, optional): Training images, counted as often as they are seen; rounded to
            whole epochs, and of larger data sets an even sample is used.
        parts (int): Epochs that there must be at least where a sample is used.
    """
    epochs: int | None = None
    images_seen: int | None = None
    parts: int = 1

    def of(self, cfg: Config) -> Budget:
        """This one, or that of a config if this says nothing.

        Raises:
            ValueError: The config counts iterations.
        """
        if self.epochs or self.images_seen:
            return self
        epochs = (cfg.get('train_cfg') or {}).get('max_epochs')
        if not epochs:
            raise ValueError('the config does not say how many epochs it trains for: give --epochs '
                             'or --images-seen')
        return replace(self, epochs=epochs)

    def divide(self, num_images: int) -> tuple[int, int]:
        """Epochs, and images that are used of ``num_images``."""
        if self.epochs is not None:
            return self.epochs, num_images
        if self.images_seen >= num_images * self.parts:
            return max(round(self.images_seen / num_images), self.parts), num_images
        return self.parts, max(self.images_seen // self.parts, 1)


@dataclass(frozen=True)
class RunConfig:
    """A config and what was measured for it.

    ``epochs`` and ``num_images`` (used in each) follow from the budget; ``tokens`` is the mean
    number of patches of an image, ``object_patches`` the median side of a box in patches (None
    without boxes), ``data`` the name of the data set's folder.
    """
    config: Config
    epochs: int
    num_images: int
    tokens: float
    object_patches: float | None
    data: str


def make_run_config(source: str, candidate: Candidate, seed: int, budget: Budget, *,
                    arch: str = 'small', statistics: int = 64,
                    cfg_options: Sequence[str] = ()) -> RunConfig:
    """The config that trains a detector on images of ``candidate``.

    Args:
        source (str): A config that takes the scheme from the environment, as those named
            ``*_scheme_*`` do, or one that :func:`mmppvit.adapt` can adapt.
        candidate (Candidate): What is done to the images. Those that shuffle are trained in order.
        seed (int): Of the training.
        budget (Budget): Its length. The learning rate rises for 100 iterations, at most a tenth of
            all, and falls as a cosine to the end, whatever the schedule of ``source`` is.
        arch (str): Of the PEViT of adapted configs.
        statistics (int): Training images that mean and deviation are measured on.
        cfg_options (Sequence[str]): 'KEY=VALUE' each.

    Raises:
        ValueError: The config, or the candidate with this config, cannot be trained.
        FileNotFoundError: There is no such config.
    """
    cfg = _config_of(source, candidate, arch)
    if cfg_options:
        override_config(cfg, parse_overrides(cfg_options))
    cfg = apply_custom_dataset(cfg)
    if not cfg.get('train_dataloader') or not cfg.get('val_dataloader') \
            or not cfg.get('val_evaluator'):
        raise ValueError(f'{source} does not train and evaluate: choose a config with '
                         'train_dataloader, val_dataloader and val_evaluator')
    found = measure_images(cfg, statistics)
    changes = ConfigChanges(cfg.to_dict())
    set_statistics(changes, found)
    cfg = Config(changes.cfg)
    cfg.randomness = dict(seed=seed)
    epochs, used = budget.of(cfg).divide(found.num_images)
    with scope_of(cfg):
        set_budget(cfg, epochs, used, found.num_images)
    side = candidate.patch_size / candidate.grid
    sides = found.box_sides / side
    return RunConfig(cfg, epochs, used, found.area / side**2,
                     float(np.median(sides)) if len(sides) else None, _data_name(cfg))


def _config_of(source: str, candidate: Candidate, arch: str) -> Config:
    if '::' not in source:
        path = find_config(source)
        with _environment(_variables(candidate)), _quiet():
            try:
                cfg = load_config(path)
            except KeyError as err:
                raise ValueError(f'{source} knows no SCHEME={err.args[0]}: leave it out') from None
        if VARIABLE in cfg.text:  # or that of its bases
            return cfg
        source = str(path)
    if candidate.grid > 1:  # downsampling has the geometry of mixing
        adapted = adapt_stock(source, 'mix', arch, candidate.patch_size, candidate.grid)
    else:
        adapted = adapt_stock(source, PLAIN, arch, candidate.patch_size)
    cfg = adapted.config.to_dict()
    return Config(_with_steps(cfg, _steps(candidate)), filename=adapted.config.filename)


def _variables(candidate: Candidate) -> dict[str, str]:
    """What `configs/_base_/schemes/from_environment.py` reads."""
    variables = dict(SCHEME=candidate.trained_as, PATCH=f'{candidate.patch_size}',
                     GRID=f'{candidate.grid}', STRENGTH=f'{candidate.strength:g}', GAIN='1',
                     NORMALIZE='0')
    for part in filter(None, candidate.parameters.split(';')):
        key, _, value = part.partition('=')
        variables[key.upper()] = '1' if value == 'True' else value
    return variables


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment, for as long as the block runs."""
    old = {key: os.environ.get(key) for key in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for key, value in old.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """MMEngine logs a line for every variable that it replaces."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _steps(candidate: Candidate) -> list[dict]:
    """Pipeline steps that do on the fly what the candidate does to files, in order."""
    sizes = dict(patch_size=candidate.patch_size, grid=candidate.grid)
    mix = dict(type='mmdet.MixSubPatches', **sizes)
    if candidate.scheme is None:
        return [mix]
    if candidate.scheme.normalize:
        return [mix, dict(type='mmdet.CenterPatches', strength=candidate.strength, normalize=True,
                          **sizes)]
    if candidate.scheme.centers:
        return [dict(type='mmdet.MixCenterPatches', strength=candidate.strength,
                     gain=candidate.scheme.gain, **sizes)]
    strength = candidate.strength
    return {
        'blur': [dict(type='mmdet.GaussianBlurImage', sigma=strength), mix],
        'pixelate': [dict(type='mmdet.PixelateImage', block=int(strength)), mix],
        'noise': [dict(type='mmdet.AddNoiseImage', sigma=strength), mix],
        'downsample': [dict(type='mmdet.DownsampleImage', factor=candidate.grid,
                            patch_size=candidate.patch_size)],
    }.get(candidate.trained_as, [mix])


def _with_steps(node, steps: list[dict]):
    """``node`` with ``steps`` wherever it mixes."""
    if isinstance(node, dict):
        return {key: _with_steps(value, steps) for key, value in node.items()}
    if not isinstance(node, (list, tuple)):
        return node
    items = []
    for item in node:
        if isinstance(item, dict) and kind_of(item).rpartition('.')[2] == 'MixSubPatches':
            items += deepcopy(steps)
        else:
            items.append(_with_steps(item, steps))
    return type(node)(items)


def set_budget(cfg: Config, epochs: int, used: int, num_images: int) -> None:
    """Let ``cfg`` train for ``epochs`` of ``used`` images out of ``num_images``, in place."""
    if used < num_images:
        _sample(cfg.train_dataloader.dataset, used / num_images)
    batch = cfg.train_dataloader.get('batch_size', 1)
    warm_up = min(WARM_UP, epochs * max(used // batch, 1) // 10)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=epochs)
    cfg.param_scheduler = [
        dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=epochs, T_max=epochs,
             convert_to_iter_based=True)]
    if warm_up:
        cfg.param_scheduler.insert(0, dict(
            type='LinearLR', start_factor=.01, by_epoch=False, begin=0, end=warm_up))
    sampler = cfg.train_dataloader.get('sampler') or {}
    if str(sampler.get('type')).endswith('InfiniteSampler'):
        cfg.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
    cfg.default_hooks = {**(cfg.get('default_hooks') or {}), 'checkpoint': dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=1)}
    cfg.auto_scale_lr = dict(cfg.get('auto_scale_lr') or {}, enable=False)
    cfg.work_dir = None


def _sample(dataset, share: float) -> None:
    """Let every data set below ``dataset`` use an even sample of its images."""
    from mmdet.registry import DATASETS
    for leaf in leaf_datasets(dataset):
        count = len(DATASETS.build(deepcopy(leaf.dataset)))
        chosen = np.linspace(0, count - 1, max(round(count * share), 1)).round().astype(int)
        leaf.dataset.indices = np.unique(chosen).tolist()


def _data_name(cfg: Config) -> str:
    leaf = next(leaf_datasets(cfg.train_dataloader.dataset)).dataset
    root = leaf.get('data_root') or leaf.get('ann_file') or ''
    return Path(str(root)).name
