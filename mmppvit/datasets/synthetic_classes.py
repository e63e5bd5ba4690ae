"""A small synthetic data set in folders of classes, to try a classifier within minutes."""
from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np

from mmppvit.datasets.synthetic_drawing import (
    SHAPES,
    draw_background,
    fill_outline,
    finish_image,
    random_outline,
    soft_mask,
)
from mmppvit.utils.atomic_folder import synthetic_info, whole_folder

__all__ = ['HUES', 'write_synthetic_classes']

HUES = dict(red=0, yellow=60, green=120, cyan=180, blue=240, magenta=300)  # degrees

_DESCRIPTION = 'drawn classes of mmppvit'  # in files, as all versions have written it
_INFO = 'synthetic_classes.json'
_EXTENT = (.5, .8)  # of a shape, share of the image's side
_HUE_SPREAD = 22.  # standard deviation in degrees
_CONTRAST = (.25, .75)  # of the pattern's dark parts, in brightness
_PERIOD = (6., 14.)  # of the pattern, in pixels


def write_synthetic_classes(out_dir: str | os.PathLike,
                        num_train: int,
                        num_val: int,
                        size: int = 96,
                        seed: int = 0) -> Path:
    """Draw images of one shape each, or keep those that are there.

    The class is the hue of the shape's patterned fill, which strays into that of the neighbors.
    Shape, pattern, size, place and the background, which is as colorful, say nothing. The same
    arguments give the same bytes. The folder appears whole or not at all.

    Args:
        out_dir (str | PathLike): Receives ``{train,val}/CLASS/*.png``. A set that was made with
            other arguments is replaced; anything else is left alone.
        num_train (int): Training images, of all classes together.
        num_val (int): Validation images.
        size (int): Side of an image in pixels.
        seed (int): Of all random draws, not negative.

    Returns:
        Path: ``out_dir``.

    Raises:
        FileExistsError: ``out_dir`` holds something else than synthetic classes.
        ValueError: There are fewer images than classes.
    """
    out_dir = Path(out_dir)
    if min(num_train, num_val) < len(HUES):
        raise ValueError(f'{min(num_train, num_val)} images are too few: at least '
                         f'{len(HUES)}, one for each class')
    info = dict(description=_DESCRIPTION, num_train=num_train, num_val=num_val, size=size,
                seed=seed)
    if synthetic_info(out_dir, _INFO, _DESCRIPTION) == info:
        return out_dir
    with whole_folder(out_dir) as part:
        for index, (split, num) in enumerate((('train', num_train), ('val', num_val))):
            for i in range(num):
                _write_image(part / split, i, size, (seed, index, i))
        (part / _INFO).write_text(json.dumps(dict(info=info)))
    return out_dir


def _write_image(folder: Path, i: int, size: int, seed: tuple[int, ...]) -> None:
    """Image i of a split; the classes take turns."""
    rng = np.random.default_rng(seed)
    name = list(HUES)[i % len(HUES)]
    img = draw_background(rng, (size, size))
    outline = random_outline(rng, int(rng.integers(len(SHAPES))), (size, size), _EXTENT)
    alpha = soft_mask(fill_outline(outline, (size, size)))[..., None]
    fill = _color(rng, HUES[name]) * _stripes(rng, size)[..., None]
    img += alpha * (fill - img)
    path = folder / name / f'{i:06d}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), finish_image(rng, img)):
        raise OSError(f'{path} could not be written')


def _color(rng: np.random.Generator, hue: float) -> np.ndarray:
    """(3, ) float32, BGR in 0..255, of about this hue in degrees."""
    hue = (hue + rng.normal(0, _HUE_SPREAD)) % 360
    hsv = np.float32([[[hue, rng.uniform(.4, .9), rng.uniform(.6, 1.)]]])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0] * 255


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    """(size, size) float32 up to 1: brightness of stripes of any direction and period."""
    angle, scale = rng.uniform(0, np.pi), 2 * np.pi / rng.uniform(*_PERIOD)
    y, x = np.mgrid[:size, :size] * scale
    wave = np.sin(x * np.cos(angle) + y * np.sin(angle)) > 0
    return np.where(wave, 1, rng.uniform(*_CONTRAST)).astype(np.float32)
