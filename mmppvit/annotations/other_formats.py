"""Annotations of YOLO and Pascal VOC, read and written by supervision (the extra ``formats``)."""
from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from mmppvit.utils.user_errors import need_packages

__all__ = ['FORMATS', 'coco_file', 'labels_beside', 'write_yolo']

FORMATS = ('coco', 'yolo', 'voc')


@contextmanager
def coco_file(kind: str, img_dir: Path, annotations: Path | None) -> Iterator[Path | None]:
    """A COCO json of the annotations of a folder of images, for as long as the block runs.

    Sizes are those of the images. Polygons of YOLO's segmentation stay polygons; keypoints and
    oriented boxes are not read.

    Args:
        kind (str): One of ``FORMATS``; a 'coco' file is passed on as it is.
        img_dir (Path): The images, all in this folder.
        annotations (Path, optional): Of YOLO its ``data.yaml``, which names the classes: labels are
            where Ultralytics looks for them, see :func:`labels_beside`. Of VOC the folder of XML
            files.

    Raises:
        FileNotFoundError: Something is not there.
        ValueError: It is not of that format.
        UserError: supervision is not installed.
    """
    if kind == 'coco':
        yield annotations
        return
    if annotations is None:
        what = "YOLO's data.yaml" if kind == 'yolo' else 'the folder of XML files'
        raise ValueError(f'--from {kind} needs --ann, {what}')
    if not img_dir.is_dir():
        raise FileNotFoundError(f'no folder {img_dir}')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'annotations.json')
        path.write_text(json.dumps(_read(kind, img_dir, annotations)))
        yield path


def _read(kind: str, img_dir: Path, annotations: Path) -> dict:
    data_set = _supervision().DetectionDataset
    try:
        if kind == 'yolo':
            _check_file(annotations)
            read = data_set.from_yolo(str(img_dir), str(labels_beside(img_dir)), str(annotations))
        else:
            read = data_set.from_pascal_voc(str(img_dir), str(_check_folder(annotations)))
    except (ValueError, KeyError, AttributeError, IndexError, SyntaxError) as err:
        raise ValueError(f'{annotations} or what belongs to it cannot be read as {kind}: '
                         f'{type(err).__name__}: {" ".join(str(err).split())}') from None
    return _as_coco(read, str(annotations))


def _as_coco(read, name: str) -> dict:
    """COCO's json of a ``DetectionDataset``, with categories in the order of the classes."""
    import numpy as np
    objects = 0
    for found in read.annotations.values():
        if len(found):
            objects += len(found)
            # Without it, objects of several parts become crowds, which nobody trains on.
            found.data['iscrowd'] = np.zeros(len(found), int)
    if not objects:
        raise ValueError(f'no image has an annotation by {name}: is it the right one?')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'coco.json')
        read.as_coco(annotations_path=str(path))
        data = json.loads(path.read_text())
    data.pop('licenses', None)
    for image in data['images']:
        for key in ('license', 'date_captured'):
            image.pop(key, None)
    return data


def labels_beside(img_dir: Path) -> Path:
    """Where YOLO's labels of a folder of images are.

    As Ultralytics has it, the last ``images`` of the path becomes ``labels``; else they are a
    folder ``labels`` beside the images or in it, or lie among them.
    """
    parts = list(img_dir.absolute().parts)
    swapped = [place for place, part in enumerate(parts) if part == 'images']
    if swapped:
        parts[swapped[-1]] = 'labels'
        if Path(*parts).is_dir():
            return Path(*parts)
    for folder in (img_dir.parent / 'labels', img_dir / 'labels'):
        if folder.is_dir():
            return folder
    return img_dir


def write_yolo(img_dir: Path, ann_file: Path, out: Path) -> None:
    """``labels/`` and ``data.yaml`` in ``out``, of the boxes of a COCO json.

    Args:
        img_dir (Path): The images.
        ann_file (Path): The json.
        out (Path): The folder.

    Raises:
        ValueError: Two images would share a file of labels.
        UserError: supervision is not installed.
    """
    read = _supervision().DetectionDataset.from_coco(str(img_dir), str(ann_file))
    try:
        read.as_yolo(annotations_directory_path=str(out / 'labels'),
                     data_yaml_path=str(out / 'data.yaml'))
    except ValueError as err:
        raise ValueError(f'{ann_file} cannot be written as yolo: {err}') from None


def _supervision() -> ModuleType:
    need_packages('supervision')
    import supervision  # takes seconds, and owners of COCO do not have it
    return supervision


def _check_file(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}: --ann names YOLO's data.yaml")
    return path


def _check_folder(path: Path) -> Path:
    if not path.is_dir():
        raise FileNotFoundError(f'no folder {path}: --ann names the folder of XML files')
    return path
