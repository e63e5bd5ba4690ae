"""Sealed images with boxes where they are in them, for tools that know nothing of frames.

``annotations.json`` of a sealed data set is in the frame of the plain images. That is what
evaluation needs; other tools would draw its boxes outside of the sealed images.
"""
from __future__ import annotations

import json
from pathlib import Path

from mmppvit.annotations.other_formats import write_yolo
from mmppvit.sealed.manifest import Manifest, image_folder
from mmppvit.utils.atomic import write_atomic
from mmppvit.utils.user_errors import need_packages

__all__ = ['EXPORTS', 'annotations_in_sealed_frame', 'export_sealed']

EXPORTS = ('coco', 'yolo')


def export_sealed(root: Path, out: Path, kind: str, scale: str | None = None) -> int:
    """Copy a sealed data set to ``out``, with annotations in the frame of its images.

    COCO has ``images/`` and ``annotations.json``, YOLO ``images/``, ``labels/`` and ``data.yaml``.
    Files are checked against the manifest, and none is encoded anew.

    Args:
        root (Path): The sealed data set.
        out (Path): A folder that is empty or does not exist.
        kind (str): One of ``EXPORTS``.
        scale (str, optional): 'WIDTHxHEIGHT', of several sealed scales.

    Returns:
        int: How many images.

    Raises:
        ManifestError: It is not what was sealed.
        ValueError: The scheme keeps no layout, or ``out`` has something in it.
    """
    manifest = Manifest.load(root)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f'{out} is not empty: name a folder that does not exist yet')
    index = _scale_index(manifest, scale)
    data = annotations_in_sealed_frame(manifest, index)
    if kind == 'yolo':
        need_packages('supervision')
        _check_flat(data)
    folder = image_folder(manifest.scales, index) + '/'
    (out / 'images').mkdir(parents=True, exist_ok=True)
    chosen = [image for image in manifest.images if image.scale == index]
    for image in chosen:
        write_atomic(out / 'images' / image.file.removeprefix(folder), manifest.read(image))
    content = json.dumps(data, separators=(',', ':')).encode()
    write_atomic(out / 'annotations.json', content)
    if kind == 'yolo':
        write_yolo(out / 'images', out / 'annotations.json', out)
        (out / 'annotations.json').unlink()
    return len(chosen)


def _scale_index(manifest: Manifest, scale: str | None) -> int:
    names = ['{}x{}'.format(*size) if size else 'as it is' for size in manifest.scales]
    if scale is None and len(names) == 1:
        return 0
    if scale not in names:
        raise ValueError(f'{manifest.root} was sealed at {", ".join(names)}: choose one with '
                         '--scale')
    return names.index(scale)


def _check_flat(data: dict) -> None:
    nested = [image['file_name'] for image in data['images'] if '/' in image['file_name']]
    if nested:
        raise ValueError(f'{nested[0]} is in a sub-folder, which YOLO has none of: export to coco')


def annotations_in_sealed_frame(manifest: Manifest, scale: int = 0) -> dict:
    """The COCO json with sizes, boxes, areas, polygons and keypoints of the sealed images.

    Boxes are clipped at the border of the image. Masks in RLE, as crowds have them, are left out.

    Args:
        manifest (Manifest): Of a set whose patches are in order.
        scale (int): Index into its ``scales``.

    Raises:
        ValueError: Patches are shuffled, so that a box has no place, or boxes are encrypted.
        ManifestError: The json is not what was sealed.
    """
    if manifest.scheme.shuffles:
        raise ValueError(f'{manifest.root} is shuffled (scheme {manifest.scheme.name}): objects '
                         'are spread over the image, and no box has a place in it')
    data = manifest.read_annotations()
    images = [image for image in manifest.images if image.scale == scale]
    by_name = {_json_name(image.file): image for image in images}
    factors, sizes = {}, {}
    for item in data['images']:
        image = by_name[item['file_name']]
        factors[item['id']] = [side / manifest.scheme.grid for side in image.scale_factor]
        sizes[item['id']] = image.size
        item['width'], item['height'] = image.size
    data['annotations'] = [
        _moved(item, factors[item['image_id']], sizes[item['image_id']])
        for item in data.get('annotations', ())]
    return data


def _json_name(file: str) -> str:
    """Name in the json of a sealed file, which is that below the folder of its scale."""
    return file.split('/', 1)[1]


def _moved(item: dict, factor: list[float], size: tuple[int, int]) -> dict:
    """An annotation in the sealed frame."""
    x, y, width, height = item['bbox']
    corners = [x * factor[0], y * factor[1], (x + width) * factor[0], (y + height) * factor[1]]
    corners = [min(max(value, 0.), float(side)) for value, side in zip(
        corners, (*size, *size), strict=True)]
    moved = dict(item, bbox=[*corners[:2], corners[2] - corners[0], corners[3] - corners[1]])
    if 'area' in item:
        moved['area'] = item['area'] * factor[0] * factor[1]
    parts = item.get('segmentation')
    if isinstance(parts, list):
        moved['segmentation'] = [
            [value * factor[place % 2] for place, value in enumerate(part)] for part in parts]
    elif parts is not None:
        del moved['segmentation']
    if 'keypoints' in item:
        moved['keypoints'] = [value * factor[place % 3] if place % 3 < 2 else value
                              for place, value in enumerate(item['keypoints'])]
    return moved
