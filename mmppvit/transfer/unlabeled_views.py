"""Square views of unlabeled images, drawn once."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmppvit.annotations import read_coco
from mmppvit.annotations.image_names import file_of, plain_path
from mmppvit.sealed.plain_images import list_folder, read_plain
from mmppvit.transfer.object_views import cut_square

__all__ = ['UnlabeledViews', 'draw_views', 'find_images']


class UnlabeledViews(NamedTuple):
    """``images``: uint8 (N, S, S, 3), BGR. ``groups``: int64 (N, ), the image of each."""
    images: np.ndarray
    groups: np.ndarray


def find_images(folder: Path, ann: Path | None = None) -> list[Path]:
    """Images of a folder, in a fixed order: all of them, or those that a COCO json names.

    Raises:
        FileNotFoundError: There is no such folder, json or image.
        ValueError: There are no images.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder {folder}')
    if ann is not None and not ann.is_file():
        raise FileNotFoundError(f'no annotation file {ann}')
    names = list_folder(folder)[0] if ann is None else [
        file_of(folder, image['file_name']) or image['file_name']
        for image in read_coco(ann)[0]['images']]
    if not names:
        raise ValueError(f'{ann or folder} has no images')
    return [plain_path(folder, name) for name in sorted(names)]


def draw_views(paths: list[Path], count: int, size: int, smallest: float = .25, seed: int = 0,
               progress: Callable[[int, int], None] = lambda done, total: None
               ) -> UnlabeledViews:
    """Draw squares, half of them mirrored.

    Args:
        paths (list[Path]): Images.
        count (int): Views of each.
        size (int): Side of a view in pixels.
        smallest (float): Side of the smallest square in shorter sides of the image.
        seed (int): Of all draws; those of an image do not depend on the other images.
        progress (Callable): Called with the images done and their total.

    Raises:
        OSError: An image cannot be read.
    """
    views = []
    for number, path in enumerate(paths):
        img, rng = read_plain(path).img, np.random.default_rng((seed, number))
        height, width = img.shape[:2]
        for _ in range(count):
            side = rng.uniform(smallest, 1) * min(height, width)
            middle = tuple(rng.uniform(side / 2, length - side / 2) for length in (width, height))
            view = cut_square(img, middle, side, size)
            views.append(view[:, ::-1] if rng.integers(2) else view)
        progress(number + 1, len(paths))
    return UnlabeledViews(np.stack(views), np.repeat(np.arange(len(paths)), count))
