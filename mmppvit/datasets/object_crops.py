"""Objects of a COCO data set, cut out, one folder a class, to pretrain a classifier on.

The classes may also say where in a crop the object lies: a classifier of those knows more of what a
detector is asked.
"""
from __future__ import annotations

import contextlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pycocotools.coco import COCO

from mmppvit.annotations import read_coco
from mmppvit.annotations.image_names import file_of, plain_path
from mmppvit.sealed.image_files import encode_image
from mmppvit.sealed.plain_images import read_plain
from mmppvit.utils.atomic_folder import whole_folder

__all__ = ['CropOptions', 'crop_objects']

MIDDLE = .2  # share of an object by which a crop may miss its middle and still be said to show it


@dataclass(frozen=True)
class CropOptions:
    """What to cut out.

    Args:
        ann (Path): COCO json.
        img_dir (Path): Folder of its images.
        out (Path): Gets train/CLASS/ and val/CLASS/.
        size (int): Side of a crop in pixels.
        scale (float): Pixels of the crop per pixel of the image.
        max_per_class (int): Crops of a class.
        shift (float): Share of the object by which the middle of a crop is moved, at most.
        directions (bool): Five classes of each, by where the object lies.
        background (int): Places without an object, an image.
        val_share (float): Share of the images for validation.
        seed (int): Of all draws.

    Raises:
        FileNotFoundError: There is no such json.
        FileExistsError: Something lies in ``out``.
        ValueError: A number makes no sense.
    """
    ann: Path
    img_dir: Path
    out: Path
    size: int = 96
    scale: float = 1.
    max_per_class: int = 1000
    shift: float = 0.
    directions: bool = False
    background: int = 0
    val_share: float = .2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.out.exists() and any(self.out.iterdir()):
            raise FileExistsError(f'{self.out} is not empty: name a folder that does not exist yet')
        if not self.ann.is_file():
            raise FileNotFoundError(f'no annotation file {self.ann}')
        if not 0 <= self.shift <= .5:
            raise ValueError(f'--shift {self.shift} leaves the object: choose 0 to 0.5')
        if self.directions and self.shift <= MIDDLE:
            raise ValueError(f'--directions with --shift {self.shift} would know the middle only: '
                             'choose --shift 0.5')


@dataclass(frozen=True)
class Crop:
    """A place to cut out: (x, y) in pixels of the image is its middle."""
    label: str
    stem: str
    x: float
    y: float


def choose_crops(coco: COCO, options: CropOptions, rng: np.random.Generator
                 ) -> dict[int, list[Crop]]:
    """Crops by image, at most ``max_per_class`` of a class; crowds are left out."""
    chosen = defaultdict(list)
    folders = folder_names({item['id']: item['name'] for item in coco.cats.values()})
    for category in sorted(coco.getCatIds()):
        found = coco.loadAnns(sorted(coco.getAnnIds(catIds=[category], iscrowd=False)))
        most = options.max_per_class
        count = most if options.shift and found else min(most, len(found))
        name = folders[category]
        order = rng.permutation(len(found))
        for turn in range(count):
            view, place = divmod(turn, len(found))
            item = found[order[place]]
            chosen[item['image_id']].append(
                aim(item, name, f'{item["id"]}_{view}' if view else str(item['id']), options, rng))
    return chosen


def aim(item: dict, name: str, stem: str, options: CropOptions, rng: np.random.Generator
        ) -> Crop:
    """A crop near the middle of an object, and the class for it."""
    x, y, w, h = item['bbox']
    right, down = rng.uniform(-options.shift, options.shift, 2) if options.shift else (0., 0.)
    if options.directions:
        name = f'{name}_{direction(right, down)}'
    return Crop(name, stem, x + (.5 + right) * w, y + (.5 + down) * h)


def direction(right: float, down: float) -> str:
    """Where an object lies in a crop that was moved by these shares of it."""
    if max(abs(right), abs(down)) < MIDDLE:
        return 'middle'
    if abs(right) > abs(down):
        return 'left' if right > 0 else 'right'
    return 'above' if down > 0 else 'below'


def cut(img: np.ndarray, crop: Crop, size: int, scale: float) -> np.ndarray:
    """uint8 (size, size, 3) around the middle of ``crop``, mirrored beyond the border."""
    side = max(round(size / scale), 1)
    x, y = (round(middle - side / 2) for middle in (crop.x, crop.y))
    padded = cv2.copyMakeBorder(img, side, side, side, side, cv2.BORDER_REFLECT_101)
    part = padded[y + side:y + 2 * side, x + side:x + 2 * side]
    return cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA)


def empty_places(coco: COCO, image_id: int, options: CropOptions, rng: np.random.Generator
                 ) -> list[Crop]:
    """Up to ``background`` crops whose middle quarter, in area, meets no object."""
    info = coco.imgs[image_id]
    boxes = np.array([item['bbox'] for item in coco.imgToAnns[image_id]]).reshape(-1, 4)
    half, found = options.size / options.scale / 2, []
    for _ in range(20 * options.background):  # in a crowded image there may be none
        x, y = (rng.uniform(0, max(info[key] - half, 1)) for key in ('width', 'height'))
        apart = ((x + half <= boxes[:, 0]) | (x >= boxes[:, 0] + boxes[:, 2])
                 | (y + half <= boxes[:, 1]) | (y >= boxes[:, 1] + boxes[:, 3]))
        if apart.all() and len(found) < options.background:
            found.append(Crop('background', f'{image_id}_{len(found)}', x + half / 2, y + half / 2))
    return found


def folder_names(labels: dict[int | str, str]) -> dict[int | str, str]:
    """A folder within the output for each class, whatever its name is; no two share one."""
    names = {key: re.sub(r'[^\w -]', '_', label) for key, label in labels.items()}
    taken = Counter(name.lower() for name in [*names.values(), 'background'])
    return {key: name if taken[name.lower()] == 1 else f'{name} ({key})'
            for key, name in names.items()}


def _read(ann: Path) -> COCO:
    """Boxes, checked and corrected.

    Raises:
        AnnotationError: They cannot be used.
    """
    coco = COCO()
    coco.dataset = read_coco(ann)[0]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        coco.createIndex()
    return coco


def crop_objects(options: CropOptions,
                 progress: Callable[[int, int], None] = lambda done, total: None
                 ) -> dict[str, int]:
    """Cut out what ``options`` say.

    Args:
        options (CropOptions): What, from where and to where.
        progress (Callable): Called with the images done and their total.

    Returns:
        dict[str, int]: Number of crops by class. ``out`` has all of them, or does not appear.

    Raises:
        AnnotationError: The json cannot be used.
        OSError: An image cannot be read, or a crop cannot be written.
    """
    coco, rng = _read(options.ann), np.random.default_rng(options.seed)
    chosen, counts = choose_crops(coco, options, rng), Counter()
    ids = rng.permutation(sorted(chosen)).tolist()
    num_val = max(round(options.val_share * len(ids)), 1)
    with whole_folder(options.out) as part:
        part.mkdir()
        for done, image_id in enumerate(ids, 1):
            crops = chosen[image_id] + empty_places(coco, image_id, options, rng)
            _write_crops(coco.imgs[image_id]['file_name'], crops,
                         part / ('val' if done <= num_val else 'train'), options)
            counts.update(crop.label for crop in crops)
            progress(done, len(ids))
    return dict(counts)


def _write_crops(name: str, crops: list[Crop], split: Path, options: CropOptions) -> None:
    """Those of one image, into the folders of their classes."""
    img = read_plain(plain_path(options.img_dir, file_of(options.img_dir, name) or name)).img
    for crop in crops:
        folder = split / crop.label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{crop.stem}.png').write_bytes(
            encode_image(cut(img, crop, options.size, options.scale), 'png'))
