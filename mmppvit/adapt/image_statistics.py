"""Mean and deviation of encrypted training images."""
from __future__ import annotations

from copy import deepcopy

import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from rich.progress import track

from mmppvit.adapt.config_changes import CannotAdapt, ConfigChanges, walk_dicts
from mmppvit.adapt.pipeline_steps import kind_of
from mmppvit.adapt.scopes import scope_of

__all__ = ['measure_statistics', 'write_statistics']


def write_statistics(changes: ConfigChanges, count: int) -> None:
    """Set ``mean`` and ``std`` of the preprocessor to those of ``count`` training images.

    Raises:
        CannotAdapt: The preprocessor does not normalize.
    """
    places = [(path, node) for path, node in walk_dicts(changes.get(('model', )), ('model', ))
              if kind_of(node).endswith('DataPreprocessor') and 'mean' in node]
    if not places:
        raise CannotAdapt('the preprocessor of the model has no mean and std that could be set')
    mean, std = measure_statistics(Config(changes.cfg), count)
    for path, node in places:
        rgb = slice(None, None, -1 if node.get('bgr_to_rgb') else 1)
        changes.set((*path, 'mean'), [round(float(x), 2) for x in mean[rgb]],
                    f'Measured on {count} encrypted training images.')
        changes.set((*path, 'std'), [round(float(x), 2) for x in std[rgb]])


def measure_statistics(cfg: Config, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel, as loaded (BGR), over ``count`` training images.

    Args:
        cfg (Config): With ``train_dataloader``; images are spread over the data set.
        count (int): More than the data set has are all of them.
    """
    with scope_of(cfg):
        return _measure(DATASETS.build(deepcopy(cfg.train_dataloader.dataset)), count)


def _measure(dataset, count: int) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int))
    total, squares, pixels = np.zeros(3), np.zeros(3), 0
    for index in track(chosen, 'Measuring', transient=True):
        image = dataset[int(index)]['inputs']
        if isinstance(image, dict):  # branches of semi-supervised training
            image = next(iter(image.values()))
        image = image.double().flatten(1).numpy()
        total += image.sum(1)
        squares += (image**2).sum(1)
        pixels += image.shape[1]
    mean = total / pixels
    return mean, np.sqrt(np.maximum(squares / pixels - mean**2, 0))
