"""A small COCO data set of synthetic shapes, to try a detector on within minutes."""
from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np

from mmppvit.datasets.synthetic_drawing import (
    SHAPES,
    SUBPIXELS,
    draw_background,
    fill_outline,
    finish_image,
    paint_mask,
    random_outline,
)
from mmppvit.utils.atomic_folder import synthetic_info, whole_folder

__all__ = ['SHAPES', 'write_synthetic_shapes']

_DESCRIPTION = 'drawn shapes of mmppvit'  # in files, as all versions have written it
_MIN_VISIBLE = .8  # share of an object that must be neither hidden nor outside the image
_MIN_PART = 12  # square pixels; smaller visible parts of an object are not outlined


def write_synthetic_shapes(out_dir: str | os.PathLike,
                       num_train: int,
                       num_val: int,
                       size: tuple[int, int] = (192, 192),
                       seed: int = 0) -> Path:
    """Draw a detection data set in COCO's folder layout, or keep the one that is there.

    The color of an object says nothing about its class, its size, stretch and rotation are
    random, and objects hide each other: what is left to learn is the shape. Annotations cover
    the visible part. The same arguments give the same bytes, and image i of a split is the
    same whatever the number of images. The folder appears whole or not at all.

    Args:
        out_dir (str | PathLike): Receives ``train2017/``, ``val2017/`` and
            ``annotations/instances_{train,val}2017.json``. A synthetic data set with other
            arguments that lies there is replaced; anything else is left alone.
        num_train (int): Training images.
        num_val (int): Validation images.
        size (tuple[int, int]): Width and height of an image in pixels.
        seed (int): Of all random draws, not negative.

    Returns:
        Path: ``out_dir``.

    Raises:
        FileExistsError: ``out_dir`` holds something else than a synthetic data set.
    """
    out_dir = Path(out_dir)
    info = dict(description=_DESCRIPTION, num_train=num_train, num_val=num_val, size=list(size),
                seed=seed)
    if synthetic_info(out_dir, 'annotations/instances_val2017.json', _DESCRIPTION) == info:
        return out_dir
    with whole_folder(out_dir) as part:
        for index, (split, num) in enumerate((('train2017', num_train), ('val2017', num_val))):
            _write_split(part, split, num, tuple(size), (seed, index), info)
    return out_dir


def _write_split(root: Path, split: str, num: int, size: tuple[int, int], seed: tuple[int, int],
                 info: dict) -> None:
    folder = root / split
    folder.mkdir(parents=True)
    images, annotations = [], []
    for i in range(num):
        img, objects = _draw_image(np.random.default_rng((*seed, i)), size)
        name = f'{i + 1:012d}.png'
        if not cv2.imwrite(str(folder / name), img):
            raise OSError(f'{folder / name} could not be written')
        images.append(dict(id=i + 1, file_name=name, width=size[0], height=size[1]))
        annotations += [dict(id=len(annotations) + k + 1, image_id=i + 1, iscrowd=0, **obj)
                        for k, obj in enumerate(objects)]
    categories = [dict(id=k + 1, name=name, supercategory='shape')
                  for k, name in enumerate(SHAPES)]
    content = dict(info=info, licenses=[], images=images, annotations=annotations,
                   categories=categories)
    (root / 'annotations').mkdir(exist_ok=True)
    (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))


def _draw_image(rng: np.random.Generator,
                  size: tuple[int, int]) -> tuple[np.ndarray, list[dict]]:
    """(h, w, 3) uint8 and category, box, outline and area of each object in it, back first."""
    img = draw_background(rng, size)
    placed = _place_objects(rng, size)
    for _, mask, _ in placed:
        paint_mask(rng, img, mask)
    return finish_image(rng, img), [_annotation(shape, visible) for shape, _, visible in placed]


# --- where things are ---------------------------------------------------------------------


def _place_objects(rng: np.random.Generator,
                   size: tuple[int, int]) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Class, mask and visible mask of 1 to 5 objects; masks are uint8 in sub-pixels, 0 or 1."""
    covered = np.zeros((size[1] * SUBPIXELS, size[0] * SUBPIXELS), np.uint8)
    placed = []
    # Front to back: whether an object can be seen depends only on the kept ones before it.
    for _ in range(rng.integers(2, 6)):
        label = int(rng.integers(len(SHAPES)))
        outline = random_outline(rng, label, size)
        mask = fill_outline(outline, size)
        visible = mask & ~covered
        if np.count_nonzero(visible) >= _MIN_VISIBLE * cv2.contourArea(
                outline.astype(np.float32)):
            covered |= mask
            placed.append((label, mask, visible))
    return placed[::-1]


def _annotation(label: int, visible: np.ndarray) -> dict:
    """COCO's fields of one object from its visible mask (0 or 1, in sub-pixels)."""
    contours, _ = cv2.findContours(visible, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    parts = [(cv2.approxPolyDP(c, 1, True)[:, 0] + .5) / SUBPIXELS for c in contours]
    areas = [cv2.contourArea(part.astype(np.float32)) for part in parts]
    threshold = min(_MIN_PART, max(areas))
    parts = [part for part, area in zip(parts, areas, strict=True) if area >= threshold]
    low, high = np.concatenate(parts).min(0), np.concatenate(parts).max(0)
    return dict(
        category_id=label + 1,
        bbox=[*low.tolist(), *(high - low).tolist()],
        area=float(sum(area for area in areas if area >= threshold)),
        segmentation=[part.ravel().tolist() for part in parts])
