"""Mean and deviation of encrypted training images, and the sizes of what is in them."""
from __future__ import annotations

import sys
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from rich.progress import track

from mmppvit.adapt.config_changes import CannotAdapt, ConfigChanges, walk_dicts
from mmppvit.adapt.pipeline_steps import kind_of
from mmppvit.adapt.scopes import scope_of

__all__ = ['ImageStatistics', 'measure_images', 'set_statistics', 'write_statistics']


@dataclass(frozen=True)
class ImageStatistics:
    """What was measured on some images of a data set, as the pipeline of training packs them.

    Args:
        mean, std (ndarray): Of each channel, as loaded (BGR), in levels.
        num_images (int): Images of the whole data set.
        area (float): Mean area of an image in its own pixels.
        box_sides (ndarray): (N, ), square roots of the areas of all boxes, in the same pixels.
    """
    mean: np.ndarray
    std: np.ndarray
    num_images: int
    area: float
    box_sides: np.ndarray


def write_statistics(changes: ConfigChanges, count: int) -> None:
    """Set ``mean`` and ``std`` of the preprocessor to those of ``count`` training images.

    Raises:
        CannotAdapt: The preprocessor does not normalize.
    """
    set_statistics(changes, measure_images(Config(changes.cfg), count),
                   f'Measured on {count} encrypted training images.')


def set_statistics(changes: ConfigChanges, found: ImageStatistics, why: str = '') -> None:
    """Set ``mean`` and ``std`` of the preprocessor.

    Raises:
        CannotAdapt: The preprocessor does not normalize.
    """
    places = [(path, node) for path, node in walk_dicts(changes.get(('model', )), ('model', ))
              if kind_of(node).endswith('DataPreprocessor') and 'mean' in node]
    if not places:
        raise CannotAdapt('the preprocessor of the model has no mean and std that could be set')
    for path, node in places:
        rgb = slice(None, None, -1 if node.get('bgr_to_rgb') else 1)
        changes.set((*path, 'mean'), [round(float(x), 2) for x in found.mean[rgb]], why)
        changes.set((*path, 'std'), [round(float(x), 2) for x in found.std[rgb]])


def measure_images(cfg: Config, count: int) -> ImageStatistics:
    """Measure ``count`` training images, spread over the data set.

    Args:
        cfg (Config): With ``train_dataloader``.
        count (int): More than the data set has are all of them.
    """
    with scope_of(cfg):
        return _measure(DATASETS.build(deepcopy(cfg.train_dataloader.dataset)), count)


def _measure(dataset, count: int) -> ImageStatistics:
    chosen = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int))
    total, squares, pixels, sides = np.zeros(3), np.zeros(3), 0, [np.zeros(0)]
    for index in track(chosen, 'Measuring', transient=True,
                       disable=not sys.stdout.isatty()):
        packed = dataset[int(index)]
        image, sample = packed['inputs'], packed.get('data_samples')
        if isinstance(image, dict):  # branches of semi-supervised training
            name, image = next(iter(image.items()))
            sample = (sample or {}).get(name)
        sides.append(_box_sides(sample))
        image = image.double().flatten(1).numpy()
        total += image.sum(1)
        squares += (image**2).sum(1)
        pixels += image.shape[1]
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    return ImageStatistics(mean, std, len(dataset), pixels / len(chosen), np.concatenate(sides))


def _box_sides(sample) -> np.ndarray:
    boxes = getattr(getattr(sample, 'gt_instances', None), 'bboxes', None)
    if boxes is None or not len(boxes):
        return np.zeros(0)
    boxes = getattr(boxes, 'tensor', boxes)
    if boxes.shape[1] != 4:  # rotated ones
        return np.zeros(0)
    return ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=0).sqrt().numpy()
