"""Cut the objects of a COCO data set out, one folder a class, to pretrain a classifier on.

    python tools/crop_objects.py --ann instances_train.json --img-dir images --out crops
    python tools/train_classifier.py --data crops --encrypt mi --model-kwargs depth=3
"""
from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path

import mmppvit  # noqa: F401, must come before torch's relatives
from mmppvit.cli import plain_errors, progress_bar
from mmppvit.sealed.pictures import decode_picture, path_within

import cv2
import numpy as np
from pycocotools.coco import COCO


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ann', required=True, help='COCO json')
    parser.add_argument('--img-dir', required=True, type=Path, help='folder of its pictures')
    parser.add_argument('--out', required=True, type=Path, help='gets train/CLASS/ and val/CLASS/')
    parser.add_argument('--size', type=int, default=96, help='side of a crop in pixels')
    parser.add_argument('--scale', type=float, default=1.,
                        help='pixels of the crop per pixel of the picture: as the detector resizes')
    parser.add_argument('--max-per-class', type=int, default=1000)
    parser.add_argument('--background', type=int, default=0,
                        help='also cut out so many places a picture that show no object in their '
                        'middle, as a class of their own: what a detector has to tell objects from')
    parser.add_argument('--val-share', type=float, default=.2, help='of the pictures')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def choose_objects(coco: COCO, most: int, rng: np.random.Generator) -> dict[int, list[dict]]:
    """Annotations by picture, at most ``most`` of a class, crowds left out."""
    chosen = defaultdict(list)
    for category in sorted(coco.getCatIds()):
        found = coco.loadAnns(sorted(coco.getAnnIds(catIds=[category], iscrowd=False)))
        for index in rng.permutation(len(found))[:most]:
            chosen[found[index]['image_id']].append(found[index])
    return chosen


def cut(img: np.ndarray, box: list[float], size: int, scale: float) -> np.ndarray:
    """uint8 (size, size, 3) around the middle of ``box``, mirrored beyond the border."""
    side = max(round(size / scale), 1)
    x, y = (round(box[k] + box[k + 2] / 2 - side / 2) for k in (0, 1))
    padded = cv2.copyMakeBorder(img, side, side, side, side, cv2.BORDER_REFLECT_101)
    crop = padded[y + side:y + 2 * side, x + side:x + 2 * side]
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)


def empty_places(coco: COCO, image_id: int, side: float, count: int, rng: np.random.Generator
                 ) -> list[list[float]]:
    """Up to ``count`` boxes, x, y, w, h, a quarter of a crop in area, that meet no object."""
    info = coco.imgs[image_id]
    boxes = np.array([item['bbox'] for item in coco.imgToAnns[image_id]]).reshape(-1, 4)
    half, found = side / 2, []
    for _ in range(20 * count):  # in a crowded picture there may be none
        x, y = (rng.uniform(0, max(info[key] - half, 1)) for key in ('width', 'height'))
        apart = ((x + half <= boxes[:, 0]) | (x >= boxes[:, 0] + boxes[:, 2])
                 | (y + half <= boxes[:, 1]) | (y >= boxes[:, 1] + boxes[:, 3]))
        if apart.all() and len(found) < count:
            found.append([x, y, half, half])
    return found


def folder_name(label: str) -> str:
    """A class as a folder within the output, whatever its name is."""
    return re.sub(r'[^\w -]', '_', label)


def crop_all(args: argparse.Namespace) -> dict[str, int]:
    """Number of crops by class."""
    if args.out.exists() and any(args.out.iterdir()):
        raise FileExistsError(f'{args.out} is not empty: name a folder that does not exist yet')
    if not Path(args.ann).is_file():
        raise FileNotFoundError(f'no annotation file {args.ann}')
    coco, rng = COCO(args.ann), np.random.default_rng(args.seed)
    chosen, counts = choose_objects(coco, args.max_per_class, rng), defaultdict(int)
    ids = rng.permutation(sorted(chosen)).tolist()
    num_val = max(round(args.val_share * len(ids)), 1)
    with progress_bar('Cutting') as progress:
        for done, image_id in enumerate(ids, 1):
            split = 'val' if done <= num_val else 'train'
            name = coco.imgs[image_id]['file_name']
            img = decode_picture(path_within(args.img_dir, name).read_bytes())
            places = [(folder_name(coco.cats[item['category_id']]['name']), str(item['id']),
                       item['bbox']) for item in chosen[image_id]]
            places += [('background', f'{image_id}_{index}', box) for index, box in enumerate(
                empty_places(coco, image_id, args.size / args.scale, args.background, rng))]
            for label, stem, box in places:
                folder = args.out / split / label
                folder.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f'{stem}.png'), cut(img, box, args.size, args.scale))
                counts[label] += 1
            progress(done, len(ids))
    return counts


def main() -> None:
    args = parse_args()
    with plain_errors():
        counts = crop_all(args)
    print(f'{args.out}: ' + ', '.join(f'{n} {label}' for label, n in sorted(counts.items())))


if __name__ == '__main__':
    main()
