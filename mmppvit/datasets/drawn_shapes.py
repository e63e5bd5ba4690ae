"""A small COCO data set of drawn shapes, to try a detector on within minutes."""
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np

__all__ = ['SHAPES', 'write_drawn_shapes']

SHAPES = ('ellipse', 'rectangle', 'triangle', 'star', 'cross')

_DESCRIPTION = 'drawn shapes of mmppvit'
_SUBPIXELS = 4  # per pixel and axis, for smooth edges and for outlines exact to 1/8 pixel
_MIN_VISIBLE = .8  # share of an object that must be neither hidden nor outside the picture
_MIN_PART = 12  # square pixels; smaller visible parts of an object are not outlined


def write_drawn_shapes(out_dir: str | os.PathLike,
                       num_train: int,
                       num_val: int,
                       size: tuple[int, int] = (192, 192),
                       seed: int = 0) -> Path:
    """Draw a detection data set in COCO's folder layout, or keep the one that is there.

    The colour of an object says nothing about its class, its size, stretch and rotation are
    random, and objects hide each other: what is left to learn is the shape. Annotations cover
    the visible part. The same arguments give the same bytes, and picture i of a split is the
    same whatever the number of pictures. The folder appears whole or not at all.

    Args:
        out_dir (str | PathLike): Receives ``train2017/``, ``val2017/`` and
            ``annotations/instances_{train,val}2017.json``. A drawn data set with other
            arguments that lies there is replaced; anything else is left alone.
        num_train (int): Training pictures.
        num_val (int): Validation pictures.
        size (tuple[int, int]): Width and height of a picture in pixels.
        seed (int): Of all random draws, not negative.

    Returns:
        Path: ``out_dir``.

    Raises:
        FileExistsError: ``out_dir`` holds something else than a drawn data set.
    """
    out_dir = Path(out_dir)
    info = dict(description=_DESCRIPTION, num_train=num_train, num_val=num_val, size=list(size),
                seed=seed)
    if _existing_info(out_dir) == info:
        return out_dir
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    part = out_dir.with_name(f'.{out_dir.name}.{os.getpid()}.part')
    try:
        for index, (split, num) in enumerate((('train2017', num_train), ('val2017', num_val))):
            _write_split(part, split, num, tuple(size), (seed, index), info)
        _swap_in(part, out_dir)
    finally:  # also when interrupted
        shutil.rmtree(part, ignore_errors=True)
    return out_dir


def _existing_info(out_dir: Path) -> dict | None:
    """Arguments that the data set in ``out_dir`` was drawn with, None if nothing is there."""
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return None
    try:
        info = json.loads((out_dir / 'annotations/instances_val2017.json').read_text())['info']
        if info['description'] == _DESCRIPTION:
            return info
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise FileExistsError(f'{out_dir} holds something else than drawn shapes: name a folder that '
                          'does not exist yet')


def _swap_in(part: Path, out_dir: Path) -> None:
    old = part.with_suffix('.old')
    if out_dir.exists():
        out_dir.rename(old)
    part.rename(out_dir)
    shutil.rmtree(old, ignore_errors=True)


def _write_split(root: Path, split: str, num: int, size: tuple[int, int], seed: tuple[int, int],
                 info: dict) -> None:
    folder = root / split
    folder.mkdir(parents=True)
    images, annotations = [], []
    for i in range(num):
        img, objects = _draw_picture(np.random.default_rng((*seed, i)), size)
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


def _draw_picture(rng: np.random.Generator,
                  size: tuple[int, int]) -> tuple[np.ndarray, list[dict]]:
    """(h, w, 3) uint8 and category, box, outline and area of each object in it, back first."""
    img = _background(rng, size)
    placed = _place_objects(rng, size)
    for _, mask, _ in placed:
        _paint(rng, img, mask)
    img += rng.normal(0, rng.uniform(.5, 2), img.shape)
    img = np.clip(np.rint(img), 0, 255).astype(np.uint8)
    return img, [_annotation(shape, visible) for shape, _, visible in placed]


# --- where things are ---------------------------------------------------------------------


def _place_objects(rng: np.random.Generator,
                   size: tuple[int, int]) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Class, mask and visible mask of 1 to 5 objects; masks are uint8 in sub-pixels, 0 or 1."""
    shape = (size[1] * _SUBPIXELS, size[0] * _SUBPIXELS)
    covered = np.zeros(shape, np.uint8)
    placed = []
    # Front to back: whether an object can be seen depends only on the kept ones before it.
    for _ in range(rng.integers(2, 6)):
        label = int(rng.integers(len(SHAPES)))
        outline = _outline(rng, label, size)
        mask = cv2.fillPoly(np.zeros(shape, np.uint8), [np.rint(outline).astype(np.int32)], 1)
        visible = mask & ~covered
        if np.count_nonzero(visible) >= _MIN_VISIBLE * cv2.contourArea(
                outline.astype(np.float32)):
            covered |= mask
            placed.append((label, mask, visible))
    return placed[::-1]


def _outline(rng: np.random.Generator, label: int, size: tuple[int, int]) -> np.ndarray:
    """(N, 2) float64 corners x, y in sub-pixels, of a shape somewhere in the picture."""
    points = _unit_outline(SHAPES[label])
    side = min(size) * np.exp(rng.uniform(np.log(.28), np.log(.6)))  # geometric mean, in pixels
    stretch = np.exp(rng.uniform(-.3, .3))
    points = points * side / 2 * (stretch, 1 / stretch)
    angle = np.deg2rad(rng.uniform(-20, 20)) if rng.random() < .6 else 0.
    cos, sin = np.cos(angle), np.sin(angle)
    points = points @ np.array([[cos, sin], [-sin, cos]])
    centre = rng.uniform(.3 * side, np.array(size) - .3 * side)
    return (points + centre) * _SUBPIXELS


def _unit_outline(name: str) -> np.ndarray:
    """(N, 2) corners of a shape that fills about -1..1 in x and y."""
    if name == 'rectangle':
        return np.array([[-.85, -.85], [.85, -.85], [.85, .85], [-.85, .85]])
    if name == 'cross':
        a, b = 1., .34
        corners = [(b, a), (b, b), (a, b), (a, -b), (b, -b), (b, -a)]
        return np.array(corners + [(-x, -y) for x, y in corners])
    num = dict(ellipse=64, triangle=3, star=10)[name]
    angles = 2 * np.pi * np.arange(num) / num - np.pi / 2
    radii = np.ones(num)
    if name == 'star':
        radii[1::2] = .42
    if name == 'triangle':
        radii *= 1.15
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _annotation(label: int, visible: np.ndarray) -> dict:
    """COCO's fields of one object from its visible mask (0 or 1, in sub-pixels)."""
    contours, _ = cv2.findContours(visible, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    parts = [(cv2.approxPolyDP(c, 1, True)[:, 0] + .5) / _SUBPIXELS for c in contours]
    areas = [cv2.contourArea(part.astype(np.float32)) for part in parts]
    threshold = min(_MIN_PART, max(areas))
    parts = [part for part, area in zip(parts, areas, strict=True) if area >= threshold]
    low, high = np.concatenate(parts).min(0), np.concatenate(parts).max(0)
    return dict(
        category_id=label + 1,
        bbox=[*low.tolist(), *(high - low).tolist()],
        area=float(sum(area for area in areas if area >= threshold)),
        segmentation=[part.ravel().tolist() for part in parts])


# --- what things look like ----------------------------------------------------------------


def _background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) float32: a gradient with cloudy texture, crossed by lines that mean nothing."""
    width, height = size
    img = _gradient(rng, (height, width), rng.uniform(30, 225, 3), rng.uniform(30, 225, 3))
    clouds = rng.normal(0, rng.uniform(2, 9), (height // 12 + 2, width // 12 + 2, 3))
    img += cv2.resize(clouds.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(2, 6)):
        points = np.cumsum(rng.uniform(-.5, .5, (rng.integers(2, 5), 2)), axis=0) + rng.random(2)
        cv2.polylines(img, [np.rint(points * size).astype(np.int32)], False,
                      rng.uniform(20, 235, 3).tolist(), int(rng.integers(1, 4)), cv2.LINE_8)
    return img


def _gradient(rng: np.random.Generator, shape: tuple[int, int], start: np.ndarray,
              end: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32 from colour ``start`` to ``end`` in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-.5:.5:shape[0] * 1j, -.5:.5:shape[1] * 1j]
    share = (.5 + (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2))[..., None]
    return ((1 - share) * start + share * end).astype(np.float32)


def _paint(rng: np.random.Generator, img: np.ndarray, mask: np.ndarray) -> None:
    """Fill ``mask`` (sub-pixels) on ``img`` in place: plain, shaded or striped."""
    alpha = cv2.resize(mask.astype(np.float32), img.shape[1::-1], interpolation=cv2.INTER_AREA)
    x, y, w, h = cv2.boundingRect((alpha > 0).astype(np.uint8))
    box = (slice(y, y + h), slice(x, x + w))
    colour = _distinct_colour(rng, img[box].mean((0, 1)))
    style = rng.integers(3)
    fill = _gradient(rng, (h, w), colour, colour + (rng.uniform(-60, 60, 3) if style else 0))
    if style == 2:
        angle, period = rng.uniform(0, np.pi), rng.uniform(6, 16)
        rows, columns = np.mgrid[:h, :w]
        wave = np.sin((columns * np.cos(angle) + rows * np.sin(angle)) * 2 * np.pi / period)
        fill += (wave[..., None] > 0) * rng.uniform(-35, 35, 3).astype(np.float32)
    img[box] += alpha[box][..., None] * (fill - img[box])


def _distinct_colour(rng: np.random.Generator, around: np.ndarray) -> np.ndarray:
    """(3,) float64 in 10..245 that stands out from ``around``."""
    colours = rng.uniform(10, 245, (16, 3))
    distances = np.linalg.norm(colours - around, axis=1)
    far = distances > 120
    return colours[far.argmax() if far.any() else distances.argmax()]
