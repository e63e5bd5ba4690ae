"""Encryption of images, alone and within a pipeline."""
from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from benchmark_suites.case import Case
from mmppvit.encryption import center_patches, mix_sub_patches, shuffle_patches


def transform_cases(args: argparse.Namespace) -> Iterator[Case]:
    """Mixing against plain NumPy, and pipelines with it against those without."""
    height, width = (96, 96) if args.quick else (800, 1344)
    for patch, grid in ((16, 2), (16, 4), (32, 4), (24, 3)):
        shape = (height // patch * patch, width // patch * patch, 3)
        yield Case(f'mix_sub_patches P{patch} g{grid}', 'x'.join(map(str, shape)),
                   partial(make_mix, mix_sub_patches, shape, patch, grid), 'NumPy mean',
                   partial(make_mix, mix_naively, shape, patch, grid))
    for side in (16, 8):
        shape = (height // 16 * side, width // 16 * side, 3)
        text = 'x'.join(map(str, shape))
        yield Case(f'shuffle_patches of {side} pixels', text,
                   partial(make_shuffle, shuffle_patches, shape, side), 'NumPy transpose',
                   partial(make_shuffle, shuffle_naively, shape, side))
        for normalize in (False, True):
            yield Case(f'center_patches of {side} pixels{", normalize" * normalize}', text,
                       partial(make_center, center_patches, shape, side, normalize),
                       'NumPy mean', partial(make_center, center_naively, shape, side, normalize))
    with tempfile.TemporaryDirectory() as folder:
        path, shape = find_image(folder, args.quick)
        for name, steps in (('load, mix, pack', []), ('load, resize, mix, pack', [
                dict(type='Resize', scale=(1333, 800), keep_ratio=True)])):
            yield Case(name, shape, partial(make_pipeline, path, [
                *steps, dict(type='MixSubPatches', patch_size=16, grid=2)]),
                       'the same without mixing', partial(make_pipeline, path, steps))


def mix_naively(img: np.ndarray, patch: int, grid: int) -> np.ndarray:
    """What one would write first."""
    (height, width, channels), side = img.shape, patch // grid
    parts = img.reshape(height // patch, grid, side, width // patch, grid, side, channels)
    mixed = np.rint(parts.mean((1, 4))).astype(np.uint8)
    return mixed.reshape(height // grid, width // grid, channels)


def make_mix(mix: Callable, shape: tuple[int, ...], patch: int, grid: int) -> Callable:
    img = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return partial(mix, img, patch, grid)


def shuffle_naively(img: np.ndarray, side: int, order: np.ndarray) -> np.ndarray:
    """What one would write first."""
    height, width, channels = img.shape
    patches = img.reshape(height // side, side, width // side, side, channels).swapaxes(1, 2)
    shuffled = patches.reshape(-1, side, side, channels)[order].reshape(patches.shape)
    return shuffled.swapaxes(1, 2).reshape(img.shape)


def make_shuffle(shuffle: Callable, shape: tuple[int, ...], side: int) -> Callable:
    rng = np.random.default_rng(0)
    order = rng.permutation(shape[0] // side * (shape[1] // side))
    return partial(shuffle, rng.integers(0, 256, shape, dtype=np.uint8), side, order)


def center_naively(img: np.ndarray, side: int, strength: float, normalize: bool) -> np.ndarray:
    """What one would write first."""
    height, width, channels = img.shape
    parts = img.reshape(height // side, side, width // side, side, channels)
    rest = parts - parts.mean((1, 3), keepdims=True)
    if normalize:
        rest *= 40 / (np.sqrt(np.square(rest).mean((1, 3, 4), keepdims=True)) + 8)
    return np.clip(np.rint(rest + 128), 0, 255).astype(np.uint8).reshape(img.shape)


def make_center(center: Callable, shape: tuple[int, ...], side: int, normalize: bool) -> Callable:
    img = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return partial(center, img, side, 1., normalize)


def find_image(folder: str, quick: bool) -> tuple[str, str]:
    """An image of COCO where MMPPVIT_DATA has some, else a synthetic JPEG of COCO's size."""
    found = sorted(Path(os.environ.get('MMPPVIT_DATA', 'data')).glob('coco_mini/val2017/*.jpg'))
    if found and not quick:
        height, width = cv2.imread(str(found[0])).shape[:2]
        return str(found[0]), f'{height}x{width}x3'
    height, width = (64, 96) if quick else (480, 640)
    coarse = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    path = str(Path(folder, 'synthetic.jpg'))
    cv2.imwrite(path, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return path, f'{height}x{width}x3'


def make_pipeline(path: str, steps: list[dict]) -> Callable:
    with DefaultScope.overwrite_default_scope('mmdet'):
        pipeline = Compose([
            dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
            *steps, dict(type='PackDetInputs', meta_keys=('img_path', 'scale_factor'))])
    instance = dict(bbox=[10, 20, 50, 60], bbox_label=1, ignore_flag=0)

    def run() -> object:
        return pipeline(dict(img_path=path, instances=[dict(instance) for _ in range(7)]))

    return run
