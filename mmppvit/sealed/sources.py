"""What is to be sealed: a COCO json with its folder, or a folder alone."""
from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmppvit.sealed.image_files import find_images, is_safe_name

__all__ = ['Source', 'output_names', 'read_sources', 'sealed_annotations']

# Fields of COCO that training and evaluation need. All others stay behind: links to the plain
# image, dates, photographers, captions.
_IMAGE_FIELDS = ('id', 'file_name', 'width', 'height')
_ANNOTATION_FIELDS = ('id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'segmentation',
                      'ignore', 'keypoints', 'num_keypoints')
_CATEGORY_FIELDS = ('id', 'name', 'supercategory', 'keypoints', 'skeleton')


@dataclass(frozen=True)
class Source:
    """One plain image: its name below the folder, and its size (w, h) if a json gives it."""
    name: str
    size: tuple[int, int] | None = None


def read_sources(img_dir: Path, ann_file: Path | None) -> tuple[list[Source], str | None]:
    """All images, in order, and the SHA-256 of the json.

    Raises:
        FileNotFoundError: There is no such folder or json.
        ValueError: The json is not COCO's, or lists an image twice or outside of the folder.
    """
    if not img_dir.is_dir():
        raise FileNotFoundError(f'no folder {img_dir}')
    if ann_file is None:
        sources = [Source(name) for name in find_images(img_dir)]
        if not sources:
            raise ValueError(f'{img_dir} has no images')
        unsafe = [source.name for source in sources if not is_safe_name(source.name)]
        if unsafe:
            raise ValueError(f'{img_dir} has {unsafe[0]!r}, a name that not every system can '
                             'have: rename it')
        return sources, None
    content = _read(ann_file)
    try:
        data = _load(content)
        sources = [Source(item['file_name'], (int(item['width']), int(item['height'])))
                   for item in data['images']]
        names = [source.name for source in sources]
        _select(data, dict(zip(names, names, strict=True)))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError,
            RecursionError) as err:
        raise ValueError(f'{ann_file} is not a COCO annotation file with images of id, file_name, '
                         f'width and height: {type(err).__name__} {err}') from None
    if not names:
        raise ValueError(f'{ann_file} lists no images')
    outside = [name for name in names if not is_safe_name(name)]
    if outside:
        raise ValueError(f'{ann_file} lists {outside[0]!r}, which is not a name below --img-dir')
    if len(set(names)) < len(names):
        twice = sorted(name for name in set(names) if names.count(name) > 1)
        raise ValueError(f'{ann_file} lists {twice[0]} more than once')
    return sources, hashlib.sha256(content).hexdigest()


def output_names(sources: Sequence[Source], image_format: str) -> list[str]:
    """Names of the sealed files: sub-folder and stem are kept, the suffix is the format's.

    Images that would share one, such as ``a.jpg`` and ``a.png``, keep their whole name as well.
    """
    names = [PurePosixPath(s.name).with_suffix(f'.{image_format}').as_posix() for s in sources]
    while True:  # a whole name may be another image's short one: a.jpg, a.png, a.jpg.png
        # One file on systems that do not tell a from A.
        counts = Counter(name.lower() for name in names)
        longer = [name if counts[name.lower()] == 1 else f'{source.name}.{image_format}'
                  for name, source in zip(names, sources, strict=True)]
        if longer == names:
            return names
        names = longer


def sealed_annotations(ann_file: Path, names: dict[str, str]) -> tuple[bytes, list[str]]:
    """The COCO json of the sealed images, in the plain frame, and which fields it leaves out.

    Args:
        ann_file (Path): The plain one.
        names (dict[str, str]): Sealed name of every plain name; those without are left out, with
            their annotations.
    """
    sealed, dropped = _select(_load(_read(ann_file)), names)
    return json.dumps(sealed, separators=(',', ':')).encode(), sorted(dropped)


def _select(data: dict, names: dict[str, str]) -> tuple[dict, set[str]]:
    dropped = {f'{key} (whole)' for key in data.keys() - {'images', 'annotations', 'categories'}}

    def keep(kind: str, item: dict, fields: Sequence[str]) -> dict:
        dropped.update(f'{kind}.{key}' for key in item.keys() - set(fields))
        return {key: item[key] for key in fields if key in item}

    images = [keep('images', item, _IMAGE_FIELDS) | dict(file_name=names[item['file_name']])
              for item in data['images'] if item['file_name'] in names]
    ids = {item['id'] for item in images}
    sealed = dict(
        images=images,
        annotations=[keep('annotations', item, _ANNOTATION_FIELDS)
                     for item in data.get('annotations', []) if item['image_id'] in ids],
        categories=[keep('categories', item, _CATEGORY_FIELDS)
                    for item in data.get('categories', [])])
    return sealed, dropped


def _load(content: bytes) -> dict:
    def refuse(name: str) -> None:
        raise ValueError(f'{name} is not a number of JSON')

    return json.loads(content, parse_constant=refuse)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise FileNotFoundError(f'{path} cannot be read: {err.strerror}') from None
