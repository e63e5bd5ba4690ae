"""Cut the objects of a COCO data set out, one folder a class, to pretrain a classifier on.

    python tools/crop_objects.py --ann instances_train.json --img-dir images --out crops
    python tools/train_classifier.py --data crops --encrypt mi --model-kwargs depth=3

With --shift and --directions the classes also say where in a crop the object lies. A classifier of
those knows more of what a detector is asked; mirrored images would lie, so train it by --hflip 0.
"""
from __future__ import annotations

import argparse
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mmppvit.cli.console import plain_errors, progress_bar
from mmppvit.sealed.image_files import decode_image, path_within

import cv2
import numpy as np
from pycocotools.coco import COCO

MIDDLE = .2  # share of an object by which a crop may miss its middle and still be said to show it


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ann', required=True, help='COCO json')
    parser.add_argument('--img-dir', required=True, type=Path, help='folder of its images')
    parser.add_argument('--out', required=True, type=Path, help='gets train/CLASS/ and val/CLASS/')
    parser.add_argument('--size', type=int, default=96, help='side of a crop in pixels')
    parser.add_argument('--scale', type=float, default=1.,
                        help='pixels of the crop per pixel of the image: as the detector resizes')
    parser.add_argument('--max-per-class', type=int, default=1000, help='crops of a class')
    parser.add_argument('--shift', type=float, default=0.,
                        help='move the middle of a crop by up to this share of the object, 0.5 for '
                        'anywhere within it; objects of rare classes are then cut more than once, '
                        'each time at another place, up to --max-per-class')
    parser.add_argument('--directions', action='store_true',
                        help='five classes of each: the object lies in the middle of the crop, or '
                        'left, right, above or below; with --shift')
    parser.add_argument('--background', type=int, default=0,
                        help='also cut out so many places an image that show no object in their '
                        'middle, as a class of their own: what a detector has to tell objects from')
    parser.add_argument('--val-share', type=float, default=.2, help='of the images')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


@dataclass(frozen=True)
class Crop:
    """A place to cut out: (x, y) in pixels of the image is its middle."""
    label: str
    stem: str
    x: float
    y: float


def choose_crops(coco: COCO, args: argparse.Namespace, rng: np.random.Generator
                 ) -> dict[int, list[Crop]]:
    """Crops by image, at most ``max_per_class`` of a class; crowds are left out."""
    chosen = defaultdict(list)
    for category in sorted(coco.getCatIds()):
        found = coco.loadAnns(sorted(coco.getAnnIds(catIds=[category], iscrowd=False)))
        count = args.max_per_class if args.shift and found else min(args.max_per_class, len(found))
        name = folder_name(coco.cats[category]['name'])
        order = rng.permutation(len(found))
        for turn in range(count):
            view, place = divmod(turn, len(found))
            item = found[order[place]]
            chosen[item['image_id']].append(
                aim(item, name, f'{item["id"]}_{view}' if view else str(item['id']), args, rng))
    return chosen


def aim(item: dict, name: str, stem: str, args: argparse.Namespace, rng: np.random.Generator
        ) -> Crop:
    """A crop near the middle of an object, and the class for it."""
    x, y, w, h = item['bbox']
    right, down = rng.uniform(-args.shift, args.shift, 2) if args.shift else (0., 0.)
    if args.directions:
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


def empty_places(coco: COCO, image_id: int, args: argparse.Namespace, rng: np.random.Generator
                 ) -> list[Crop]:
    """Up to ``background`` crops whose middle quarter, in area, meets no object."""
    info = coco.imgs[image_id]
    boxes = np.array([item['bbox'] for item in coco.imgToAnns[image_id]]).reshape(-1, 4)
    half, found = args.size / args.scale / 2, []
    for _ in range(20 * args.background):  # in a crowded image there may be none
        x, y = (rng.uniform(0, max(info[key] - half, 1)) for key in ('width', 'height'))
        apart = ((x + half <= boxes[:, 0]) | (x >= boxes[:, 0] + boxes[:, 2])
                 | (y + half <= boxes[:, 1]) | (y >= boxes[:, 1] + boxes[:, 3]))
        if apart.all() and len(found) < args.background:
            found.append(Crop('background', f'{image_id}_{len(found)}', x + half / 2, y + half / 2))
    return found


def folder_name(label: str) -> str:
    """A class as a folder within the output, whatever its name is."""
    return re.sub(r'[^\w -]', '_', label)


def check_options(args: argparse.Namespace) -> None:
    if args.out.exists() and any(args.out.iterdir()):
        raise FileExistsError(f'{args.out} is not empty: name a folder that does not exist yet')
    if not Path(args.ann).is_file():
        raise FileNotFoundError(f'no annotation file {args.ann}')
    if not 0 <= args.shift <= .5:
        raise ValueError(f'--shift {args.shift} leaves the object: choose 0 to 0.5')
    if args.directions and args.shift <= MIDDLE:
        raise ValueError(f'--directions with --shift {args.shift} would know the middle only: '
                         'choose --shift 0.5')


def crop_all(args: argparse.Namespace) -> dict[str, int]:
    """Number of crops by class."""
    check_options(args)
    coco, rng = COCO(args.ann), np.random.default_rng(args.seed)
    chosen, counts = choose_crops(coco, args, rng), defaultdict(int)
    ids = rng.permutation(sorted(chosen)).tolist()
    num_val = max(round(args.val_share * len(ids)), 1)
    with progress_bar('Cutting') as progress:
        for done, image_id in enumerate(ids, 1):
            split = 'val' if done <= num_val else 'train'
            name = coco.imgs[image_id]['file_name']
            img = decode_image(path_within(args.img_dir, name).read_bytes())
            for crop in chosen[image_id] + empty_places(coco, image_id, args, rng):
                folder = args.out / split / crop.label
                folder.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f'{crop.stem}.png'), cut(img, crop, args.size, args.scale))
                counts[crop.label] += 1
            progress(done, len(ids))
    return counts


def main() -> None:
    args = parse_args()
    with plain_errors():
        counts = crop_all(args)
    print(f'{args.out}: ' + ', '.join(f'{n} {label}' for label, n in sorted(counts.items())))


if __name__ == '__main__':
    main()
