"""Objects of a COCO data set at one size, with their classes, for probes of features."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmppvit.annotations import read_coco
from mmppvit.annotations.image_names import file_of, plain_path
from mmppvit.sealed.plain_images import read_plain

__all__ = ['ObjectViews', 'ViewOptions', 'cut_square', 'cut_views']

_TRIES = 50  # for a place without objects


@dataclass(frozen=True)
class ViewOptions:
    """Which objects, and how much around them.

    Args:
        size (int): Side of a view in pixels.
        context (float): Side of the square that is cut out, in sides of the object.
        max_views (int): Of all classes together; the classes get equal shares.
        min_side (int): Objects whose longer side has fewer pixels are left out.
        min_per_class (int): Classes with fewer objects are left out.
        background (bool): Also a class of places that show no object, as large as objects are.
        seed (int): Of all draws.

    Raises:
        ValueError: A number makes no sense.
    """
    size: int = 128
    context: float = 2.
    max_views: int = 600
    min_side: int = 16
    min_per_class: int = 20
    background: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in dict(size=1, context=1, max_views=2, min_side=1,
                                min_per_class=2).items():
            if getattr(self, name) < least:
                raise ValueError(f'{name} has to be at least {least}, not {getattr(self, name)}')


@dataclass(frozen=True)
class ObjectViews:
    """Views and what they show.

    Args:
        images (ndarray): uint8 (N, S, S, 3), BGR.
        labels (ndarray): int64 (N, ), places in ``classes``.
        groups (ndarray): int64 (N, ), the image that a view is of.
        classes (tuple[str]): Names.
    """
    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    classes: tuple[str, ...]


def cut_square(img: np.ndarray, middle: tuple[float, float], side: float, size: int) -> np.ndarray:
    """uint8 (size, size, 3): the square around ``middle`` (x, y), mirrored beyond the border."""
    side = max(round(side), 1)
    left, top = (round(place - side / 2) for place in middle)
    height, width = img.shape[:2]
    edges = (max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0))
    if any(edges):
        img = cv2.copyMakeBorder(img, *edges, cv2.BORDER_REFLECT_101)
    part = img[top + edges[0]:top + edges[0] + side, left + edges[2]:left + edges[2] + side]
    way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return cv2.resize(part, (size, size), interpolation=way)


def cut_views(ann: Path, img_dir: Path, options: ViewOptions,
              classes: Sequence[str] | None = None,
              progress: Callable[[int, int], None] = lambda done, total: None) -> ObjectViews:
    """Cut out objects, each class in equal number as far as it has them.

    Args:
        ann (Path): COCO json.
        img_dir (Path): Folder of its images.
        options (ViewOptions): Which and how.
        classes (Sequence[str], optional): Those to take; None: all with enough objects.
        progress (Callable): Called with the images done and their total.

    Raises:
        AnnotationError: The json cannot be used.
        FileNotFoundError: There is no such json or image.
        ValueError: Fewer than two classes have enough objects.
    """
    if not ann.is_file():
        raise FileNotFoundError(f'no annotation file {ann}')
    data = read_coco(ann)[0]
    places = _places(data, options)
    taken = [name for name in places if len(places[name]) >= options.min_per_class] \
        if classes is None else [name for name in classes if places.get(name)]
    if len(taken) < 2:
        raise ValueError(
            f'{ann}: {len(taken)} classes have {options.min_per_class} objects of '
            f'{options.min_side} pixels or more, and a probe needs two: lower --min-per-class or '
            '--min-side, or use --background')
    labels = list(classes or taken)
    chosen = _choose({name: places[name] for name in taken}, labels, options)
    return _cut(chosen, labels, data, img_dir, options, progress)


def _places(data: dict, options: ViewOptions) -> dict[str, list[tuple]]:
    """(image id, x, y, side of the object) of the objects of every class, in the json's order."""
    names = {item['id']: item['name'] for item in data['categories']}
    found: dict[str, list[tuple]] = {name: [] for name in names.values()}
    for item in data['annotations']:
        x, y, w, h = item['bbox']
        if not item.get('iscrowd') and max(w, h) >= options.min_side:
            found[names[item['category_id']]].append(
                (item['image_id'], x + w / 2, y + h / 2, max(w, h)))
    if options.background:
        sides = [place[3] for places in found.values() for place in places]
        found['background'] = _empty_places(data, sides, options)
    return found


def _empty_places(data: dict, sides: list[float], options: ViewOptions) -> list[tuple]:
    """One place an image at most whose square of an object's side meets no object."""
    rng, found = np.random.default_rng(options.seed), []
    boxes = defaultdict(list)
    for item in data['annotations']:
        boxes[item['image_id']].append(item['bbox'])
    for image in data['images'] if sides else ():
        around = np.array(boxes[image['id']], np.float64).reshape(-1, 4)
        for _ in range(_TRIES):
            half = rng.choice(sides) / 2
            x, y = rng.uniform(0, image['width']), rng.uniform(0, image['height'])
            apart = ((x + half <= around[:, 0]) | (x - half >= around[:, 0] + around[:, 2])
                     | (y + half <= around[:, 1]) | (y - half >= around[:, 1] + around[:, 3]))
            if apart.all():
                found.append((image['id'], x, y, 2 * half))
                break
    return found


def _choose(places: dict[str, list[tuple]], labels: list[str], options: ViewOptions
            ) -> dict[int | str, list[tuple]]:
    """(label, x, y, side) by image; classes with few objects leave no room to others."""
    rng, chosen = np.random.default_rng((options.seed, 1)), defaultdict(list)
    most = max(options.max_views // len(places), 1)
    for name, found in places.items():
        for index in rng.permutation(len(found))[:most]:
            image_id, *place = found[index]
            chosen[image_id].append((labels.index(name), *place))
    return chosen


def _cut(chosen: dict, labels: list[str], data: dict, img_dir: Path, options: ViewOptions,
         progress: Callable[[int, int], None]) -> ObjectViews:
    images, targets, groups = [], [], []
    files = {image['id']: image['file_name'] for image in data['images']}
    order = [image['id'] for image in data['images'] if image['id'] in chosen]
    for group, image_id in enumerate(order):
        name = files[image_id]
        img = read_plain(plain_path(img_dir, file_of(img_dir, name) or name)).img
        for label, x, y, side in chosen[image_id]:
            images.append(cut_square(img, (x, y), options.context * side, options.size))
            targets.append(label)
            groups.append(group)
        progress(group + 1, len(order))
    return ObjectViews(np.stack(images), np.array(targets), np.array(groups), tuple(labels))
