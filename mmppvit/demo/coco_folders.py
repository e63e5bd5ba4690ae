"""Data sets in COCO's layout, or nearly so."""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ['CocoSplit', 'find_split']


@dataclass(frozen=True)
class CocoSplit:
    """Images and boxes of one half of a data set."""
    img_dir: Path
    ann_file: Path

    def classes(self) -> tuple[str, ...]:
        """Names of the categories, in the order of the json."""
        return tuple(item['name'] for item in json.loads(self.ann_file.read_text())['categories'])


def find_split(root: Path, name: str) -> CocoSplit:
    """The images and boxes of a split.

    Args:
        root (Path): Folder with ``annotations/instances_NAME2017.json`` and ``NAME2017/``, or
            without the year; one folder ``images/`` may hold the images of all splits.
        name (str): 'train' or 'val'.

    Raises:
        FileNotFoundError: Neither is there.
    """
    jsons = [root / f'annotations/instances_{name}{year}.json' for year in ('2017', '')]
    folders = [root / f'{name}2017', root / name, root / 'images']
    ann_file = next((path for path in jsons if path.is_file()), None)
    img_dir = next((path for path in folders if path.is_dir()), None)
    if ann_file is None or img_dir is None:
        wanted = f'annotations/{jsons[0].name}' if ann_file is None else f'{name}2017/'
        raise FileNotFoundError(f'no {root / wanted}: --data names a folder in the layout of COCO')
    return CocoSplit(img_dir, ann_file)
