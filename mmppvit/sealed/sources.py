"""What is to be sealed: a COCO json with its folder, or a folder alone."""
from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from mmppvit.annotations import CheckReport, parse_coco
from mmppvit.annotations.image_names import file_of, portable_name
from mmppvit.sealed.plain_images import list_folder
from mmppvit.utils.regular_files import read_regular

__all__ = ['Source', 'annotation_remarks', 'forget_annotations', 'output_names', 'read_sources',
           'sealed_annotations']

# Fields of COCO that training and evaluation need. All others stay behind: links to the plain
# image, dates, photographers, captions.
_IMAGE_FIELDS = ('id', 'file_name', 'width', 'height')
_ANNOTATION_FIELDS = ('id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'segmentation',
                      'ignore', 'keypoints', 'num_keypoints')
_CATEGORY_FIELDS = ('id', 'name', 'supercategory', 'keypoints', 'skeleton')


@dataclass(frozen=True, slots=True)
class Source:
    """One plain image.

    Args:
        name (str): Its file, below the folder.
        size (tuple, optional): (w, h) that its json gives.
        listed (str, optional): Its name in the json, where that is another.
    """
    name: str
    size: tuple[int, int] | None = None
    listed: str | None = None

    @property
    def in_json(self) -> str:
        """Its name in the json."""
        return self.name if self.listed is None else self.listed


def read_sources(img_dir: Path, ann_file: Path | None) -> tuple[list[Source], str | None]:
    """All images, in order, and the SHA-256 of the json.

    Raises:
        FileNotFoundError: There is no such folder or json.
        ValueError: The json cannot be used, or lists an image twice or outside of the folder.
    """
    if not img_dir.is_dir():
        raise FileNotFoundError(f'no folder {img_dir}')
    if ann_file is None:
        sources = [Source(name) for name in list_folder(img_dir)[0]]
        if not sources:
            raise ValueError(f'{img_dir} has no images')
        return sources, None
    content = _read(ann_file)
    data, _ = _checked(content, str(ann_file))
    sources = [_source(img_dir, item, ann_file) for item in data['images']]
    counts = Counter(source.name for source in sources)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f'{ann_file} lists {twice[0]} more than once')
    return sources, hashlib.sha256(content).hexdigest()


def annotation_remarks(ann_file: Path | None) -> list[str]:
    """What was corrected in a json, or is passed over by others, one line each."""
    if ann_file is None:
        return []
    report = _checked(_read(ann_file), str(ann_file))[1]
    return [f'{finding.action} {finding}' for finding in report.findings]


def _source(img_dir: Path, item: dict, ann_file: Path) -> Source:
    listed = item['file_name']
    name = file_of(img_dir, listed)
    if name is None:
        raise ValueError(f'{ann_file} lists {listed!r:.200}, which is not a name below --img-dir '
                         f'{img_dir}')
    return Source(name, (item['width'], item['height']), None if name == listed else listed)


def output_names(sources: Sequence[Source], image_format: str) -> list[str]:
    """Names of the sealed files: sub-folder and stem are kept, the suffix is the format's.

    Images that would share one, such as ``a.jpg`` and ``a.png``, keep their whole name as well.
    Characters that not every system can have in a name become '_'.
    """
    whole = [portable_name(source.name) for source in sources]
    names = [PurePosixPath(name).with_suffix(f'.{image_format}').as_posix() for name in whole]
    while True:  # a whole name may be another image's short one: a.jpg, a.png, a.jpg.png
        # One file on systems that do not tell a from A.
        counts = Counter(name.lower() for name in names)
        longer = [name if counts[name.lower()] == 1 else f'{long}.{image_format}'
                  for name, long in zip(names, whole, strict=True)]
        if longer == names:
            break
        names = longer
    return _numbered(names)


def _numbered(names: list[str]) -> list[str]:
    """Names that are one still, as those of ``a:b.jpg`` and ``a_b.jpg``, get a number."""
    taken = Counter(name.lower() for name in names)
    numbered = []
    for index, name in enumerate(names):
        if taken[name.lower()] > 1:
            path = PurePosixPath(name)
            name = next(other for k in range(len(names) + 1) if taken[(other := path.with_name(
                f'{path.stem}-{index + k}{path.suffix}').as_posix()).lower()] == 0)
            taken[name.lower()] += 1
        numbered.append(name)
    return numbered


def sealed_annotations(ann_file: Path, names: dict[str, str]) -> tuple[bytes, list[str]]:
    """The COCO json of the sealed images, in the plain frame, and which fields it leaves out.

    It is corrected, as whoever gets it cannot: its digest is in the manifest.

    Args:
        ann_file (Path): The plain one.
        names (dict[str, str]): Sealed name of every plain name; those without are left out, with
            their annotations.
    """
    dropped: set[str] = set()
    content = io.BytesIO()
    for part in _select(_checked(_read(ann_file), str(ann_file))[0], names, dropped):
        content.write(part.encode())
    return content.getvalue(), sorted(dropped)


def forget_annotations() -> None:
    """Let go of the json that was read last, which takes several times the memory of its file."""
    _checked.cache_clear()


def _select(data: dict, names: dict[str, str], dropped: set[str]) -> Iterator[str]:
    """The text of the json in pieces; names of fields that are left out are added to ``dropped``.
    """
    dropped |= {f'{key} (whole)' for key in data.keys() - {'images', 'annotations', 'categories'}
               if data[key] != {}}

    def keep(kind: str, item: dict, fields: Sequence[str]) -> dict:
        dropped.update(f'{kind}.{key}' for key in item.keys() - set(fields))
        return {key: item[key] for key in fields if key in item}

    ids = {item['id'] for item in data['images'] if item['file_name'] in names}
    lists = dict(
        images=(keep('images', item, _IMAGE_FIELDS) | dict(file_name=names[item['file_name']])
                for item in data['images'] if item['file_name'] in names),
        annotations=(keep('annotations', item, _ANNOTATION_FIELDS)
                     for item in data['annotations'] if item['image_id'] in ids),
        categories=(keep('categories', item, _CATEGORY_FIELDS) for item in data['categories']))
    yield '{"info":{}'  # without one, pycocotools 2.0.9 and 2.0.10 end in a KeyError
    for name, items in lists.items():
        yield f',"{name}":['
        for count, item in enumerate(items):
            yield ',' * (count > 0) + json.dumps(item, separators=(',', ':'))
        yield ']'
    yield '}'


@lru_cache(maxsize=1)
def _checked(content: bytes, name: str) -> tuple[dict, CheckReport]:
    """As :func:`parse_coco`, which takes long for large files and is asked several times."""
    return parse_coco(content, name)


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as err:
        raise FileNotFoundError(f'{path} cannot be read: {err.strerror}') from None
