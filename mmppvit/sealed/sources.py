"""What is to be sealed: a COCO json with its folder, or a folder alone."""
from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

from mmppvit.annotations import CheckReport, file_digest, stream_coco
from mmppvit.annotations.image_names import file_of, portable_name
from mmppvit.annotations.json_stream import repeated
from mmppvit.sealed.packed_names import PackedNames, PackedSources, Source
from mmppvit.sealed.plain_images import list_folder

__all__ = ['Annotations', 'Source', 'annotation_remarks', 'forget_annotations', 'output_names',
           'read_sources']

# Fields of COCO that training and evaluation need. All others stay behind: links to the plain
# image, dates, photographers, captions.
_IMAGE_FIELDS = ('id', 'file_name', 'width', 'height')
_ANNOTATION_FIELDS = ('id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'segmentation',
                      'ignore', 'keypoints', 'num_keypoints')
_CATEGORY_FIELDS = ('id', 'name', 'supercategory', 'keypoints', 'skeleton')


def read_sources(img_dir: Path, ann_file: Path | None) -> tuple[Sequence[Source], str | None]:
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
    data, _, digest = _checked(ann_file)
    sources = PackedSources(_source(img_dir, item, ann_file) for item in data['images'])
    twice = repeated(sources.names)
    if twice:
        raise ValueError(f'{ann_file} lists {next(iter(twice))} more than once')
    return sources, digest


def annotation_remarks(ann_file: Path | None) -> list[str]:
    """What was corrected in a json, or is passed over by others, one line each."""
    if ann_file is None:
        return []
    report = _checked(ann_file)[1]
    return [f'{finding.action} {finding}' for finding in report.findings]


def _source(img_dir: Path, item: dict, ann_file: Path) -> Source:
    listed = item['file_name']
    name = file_of(img_dir, listed)
    if name is None:
        raise ValueError(f'{ann_file} lists {listed!r:.200}, which is not a name below --img-dir '
                         f'{img_dir}')
    return Source(name, (item['width'], item['height']), None if name == listed else listed)


def output_names(sources: Sequence[Source], image_format: str) -> Sequence[str]:
    """Names of the sealed files: sub-folder and stem are kept, the suffix is the format's.

    Images that would share one, such as ``a.jpg`` and ``a.png``, keep their whole name as well.
    Characters that not every system can have in a name become '_'.
    """
    whole = PackedNames(portable_name(source.name) for source in sources)
    names = PackedNames(PurePosixPath(name).with_suffix(f'.{image_format}').as_posix()
                        for name in whole)
    while True:  # a whole name may be another image's short one: a.jpg, a.png, a.jpg.png
        # One file on systems that do not tell a from A.
        shared = _shared(names)
        long = {i for i in shared if names[i] != f'{whole[i]}.{image_format}'}
        if not long:
            break
        names = PackedNames(f'{whole[i]}.{image_format}' if i in long else name
                            for i, name in enumerate(names))
    return _numbered(names, shared) if shared else names


def _shared(names: Sequence[str]) -> set[int]:
    """Places of the names that are another's as well, but for small and capital letters."""
    twice = repeated(lambda: (name.lower() for name in names))
    return {i for i, name in enumerate(names) if name.lower() in twice} if twice else set()


def _numbered(names: Sequence[str], shared: set[int]) -> list[str]:
    """Names that are one still, as those of ``a:b.jpg`` and ``a_b.jpg``, get a number."""
    taken = Counter(name.lower() for name in names)
    numbered = list(names)
    for index in sorted(shared):
        path = PurePosixPath(names[index])
        name = next(other for k in range(len(names) + 1) if taken[(other := path.with_name(
            f'{path.stem}-{index + k}{path.suffix}').as_posix()).lower()] == 0)
        taken[name.lower()] += 1
        numbered[index] = name
    return numbered


class Annotations:
    """The COCO json of the sealed images, in the plain frame, in pieces.

    It is corrected, as whoever gets it cannot: its digest is in the manifest.

    Args:
        ann_file (Path): The plain one.
        names (Callable): Gives the sealed name of every image of the json, in order; None for
            those that are left out, with their annotations.

    Attributes:
        dropped (set[str]): Which fields the pieces that were given leave out.
        digest (str): SHA-256 of the plain one.
    """

    def __init__(self, ann_file: Path, names: Callable[[], Iterator[str | None]]) -> None:
        self._data, _, self.digest = _checked(ann_file)
        self._names = names
        self.dropped: set[str] = set()

    def parts(self) -> Iterator[bytes]:
        """The text, each time anew."""
        return map(str.encode, _select(self._data, self._names, self.dropped))

    def size(self) -> int:
        """Bytes of the text, which is made for it, as its MAC begins with its length.

        A temporary file would save a twentieth of the time, and leave names and boxes of plain
        images on a disk that may be handed over; memory would have to hold all of it. What is
        written at the end is another text: of sealed names, without skipped images.
        """
        return sum(map(len, self.parts()))


def forget_annotations() -> None:
    """Let go of the json that was read last."""
    _stream.cache_clear()


def _select(data: dict, names: Callable[[], Iterator[str | None]], dropped: set[str]
            ) -> Iterator[str]:
    """The text of the json in pieces; names of fields that are left out are added to ``dropped``.
    """
    dropped |= {f'{key} (whole)' for key in data.keys() - {'images', 'annotations', 'categories'}
               if data[key] != {}}

    def keep(kind: str, item: dict, fields: Sequence[str]) -> dict:
        dropped.update(f'{kind}.{key}' for key in item.keys() - set(fields))
        return {key: item[key] for key in fields if key in item}

    without = set()  # ids: hardly any

    def images() -> Iterator[dict]:
        for item, name in zip(data['images'], names(), strict=True):
            if name is None:
                without.add(item['id'])
            else:
                yield keep('images', item, _IMAGE_FIELDS) | dict(file_name=name)

    lists = dict(
        images=images(),
        annotations=(keep('annotations', item, _ANNOTATION_FIELDS)
                     for item in data['annotations'] if item['image_id'] not in without),
        categories=(keep('categories', item, _CATEGORY_FIELDS) for item in data['categories']))
    yield '{"info":{}'  # without one, pycocotools 2.0.9 and 2.0.10 end in a KeyError
    for name, items in lists.items():
        yield f',"{name}":['
        for count, item in enumerate(items):
            yield ',' * (count > 0) + json.dumps(item, separators=(',', ':'))
        yield ']'
    yield '}'


def _checked(path: Path) -> tuple[dict, CheckReport, str]:
    """As :func:`stream_coco`, which takes long for large files and is asked several times."""
    try:
        return _stream(path, file_digest(path))
    except FileNotFoundError as err:
        raise FileNotFoundError(f'{path} cannot be read: {str(err).rpartition(": ")[2]}') from None


@lru_cache(maxsize=1)
def _stream(path: Path, digest: str) -> tuple[dict, CheckReport, str]:
    return stream_coco(path)
