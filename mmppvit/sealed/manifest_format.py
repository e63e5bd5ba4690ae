"""``manifest.json`` as bytes: versions, fields, and what makes no sense in them.

Versions 1 to 3 differ in their schemes alone: 2 has baselines, 3 learned protection. Version 4 has
a name, a role and a counter, says how images were padded, may be signed whatever the scheme is and
may hide its metadata. Version 5 is packed: images lie in tar shards, and the manifest has the root
of a hash tree over the entries in place of the entries.
"""
from __future__ import annotations

import hashlib
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mmppvit.annotations.json_stream import PackedItems, read_lists
from mmppvit.encryption import DERIVATIONS, Scheme, read_scheme
from mmppvit.sealed.entries import (
    MAX_SIDE,
    ManifestError,
    entry_of,
    expect,
    is_hex,
    parse_entry,
    parse_size,
)
from mmppvit.sealed.entry_files import EntryFile
from mmppvit.sealed.json_numbers import parse_json
from mmppvit.sealed.listed_images import ListedImages
from mmppvit.utils.regular_files import open_regular, read_regular
from mmppvit.utils.remote_files import RemotePath

__all__ = ['ANNOTATIONS', 'FORMATS', 'MANIFEST', 'PACKED_VERSION', 'PADDINGS',
           'SEALED_METADATA', 'VERSION',
           'canonical', 'canonical_parts', 'check_label', 'dump', 'parse', 'parse_json',
           'read_in_pieces', 'read_json', 'spooled', 'text_parts']

FORMAT = 'mmppvit sealed data set'
VERSION, PACKED_VERSION, VERSIONS = 4, 5, (1, 2, 3, 4, 5)
MANIFEST, ANNOTATIONS = 'manifest.json', 'annotations.json'
SEALED_METADATA = 'annotations.json.sealed'
FORMATS = ('png', 'webp')
PADDINGS = ('zero', 'mirror', 'fit')
MAX_COUNTER = 2**53  # any reader of JSON has these
_MAX_JSON = 2**31
_FIELDS_OF_4 = {'name', 'role', 'counter', 'padding', 'sealed_metadata'}


def canonical(data: object) -> bytes:
    """The bytes that are digested and signed."""
    return json.dumps(data, sort_keys=True, separators=(',', ':')).encode()


def read_json(path: Path) -> object:
    """What the JSON file ``path`` says.

    Raises:
        ManifestError: It is missing, no regular file, or not JSON.
    """
    try:
        return parse_json(read_regular(path, _MAX_JSON))
    except FileNotFoundError:
        raise ManifestError(f'no {path}: sealing makes it when it is through (seal --resume goes '
                            'on with an interrupted run, repair rebuilds a lost one)') from None
    except OSError as err:
        raise ManifestError(f'{path} cannot be read: {err.strerror}') from None
    except (ValueError, RecursionError) as err:
        raise ManifestError(f'{path} is not JSON: {err}') from None


def read_in_pieces(path: Path | RemotePath) -> dict[str, object]:
    """As `read_json`, with the list of images as :class:`PackedItems`.

    Raises:
        ManifestError: As of `read_json`.
    """
    try:
        with io.BytesIO(path.read(_MAX_JSON)) if isinstance(path, RemotePath) else \
                open_regular(path) as file:
            data = read_lists(file, ('pictures', ))
        images = {name: value for name, value in data.items() if isinstance(value, PackedItems)}
        rest = {name: value for name, value in data.items() if name not in images}
        return parse_json(json.dumps(rest).encode()) | images  # whose numbers are finite
    except (OSError, ValueError, RecursionError) as err:
        read_json(path)  # says what is wrong, as far as it sees it
        raise ManifestError(f'{path} is not the manifest of a sealed data set: {err}') from None


def dump(manifest) -> dict:
    """All of a :class:`Manifest` but its images, digest and signature, as JSON has it."""
    data = dict(
        format=FORMAT, version=manifest.version, scheme=manifest.scheme.to_dict(),
        picture_format=manifest.image_format, scales=manifest.scales, job=manifest.job,
        key=manifest.key, annotations=manifest.annotations, skipped=manifest.skipped)
    hidden = manifest.sealed_metadata is not None
    if manifest.version > 3:
        data.update({name: getattr(manifest, name) for name in sorted(_FIELDS_OF_4)},
                    skipped=[] if hidden else manifest.skipped)
    if manifest.packed is not None:
        data['packed'] = manifest.packed
    return data


@contextmanager
def spooled(manifest, folder: Path | None = None) -> Iterator[Callable[[], Iterator[bytes]]]:
    """All images as JSON, a line each, as often as they are asked for; they are read only once.

    Args:
        manifest (Manifest): Of these images; reading one may mean to authenticate it.
        folder (Path, optional): Where the temporary file is, which has no name.
    """
    if manifest.packed is not None:
        yield lambda: iter(())
        return
    hidden = manifest.sealed_metadata is not None
    with tempfile.TemporaryFile(prefix='.tmp-', dir=folder) as file:
        for image in manifest.images:
            file.write(json.dumps(entry_of(image, manifest.version, hidden)).encode() + b'\n')

        def lines() -> Iterator[bytes]:
            file.seek(0)
            return (line[:-1] for line in file)

        yield lines


def canonical_parts(manifest, entries: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes that are digested and signed, in pieces; ``entries`` are those of `spooled`."""
    if manifest.packed is not None:
        yield canonical(dump(manifest))
        return
    start, _, end = canonical(dump(manifest) | dict(pictures=[])).partition(b'"pictures":[')
    yield start + b'"pictures":['
    for count, entry in enumerate(entries):
        yield b',' * (count > 0) + canonical(json.loads(entry))
    yield end


def text_parts(manifest, data: dict, entries: Iterable[bytes]) -> Iterator[bytes]:
    """The file in pieces: ``data``, which is `dump`'s with digest and signature, and the images."""
    text = f'{json.dumps(data, indent=1)}\n'
    if manifest.packed is not None:
        yield text.encode()
        return
    yield f'{text[:-3]},\n "pictures": [\n'.encode()
    for count, entry in enumerate(entries):  # one a line
        yield b',\n' * (count > 0) + entry
    yield b'\n ]\n}\n'


class CanonicalPieces:
    """`canonical` of what `read_in_pieces` gives, in pieces, each time anew.

    Args:
        data (dict): What it gives.

    Attributes:
        length (int): Bytes of all pieces.
        digest (str): SHA-256 of them.
    """

    def __init__(self, data: dict) -> None:
        self._data, self.length = data, 0
        digest = hashlib.sha256()
        for piece in self:
            digest.update(piece)
            self.length += len(piece)
        self.digest = digest.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        for count, (name, value) in enumerate(sorted(self._data.items())):
            yield (b',' if count else b'{') + canonical(name) + b':'
            if not isinstance(value, PackedItems):
                yield canonical(value)
                continue
            for number, item in enumerate(value):
                yield (b',' if number else b'[') + canonical(item)
            yield b']' if len(value) else b'[]'
        yield b'}'


def parse(data: object, root: Path) -> tuple[dict, bytes | CanonicalPieces, object]:
    """Fields of a :class:`Manifest`, what was signed, and the signature.

    Args:
        data (object): Of `read_json`; or of `read_in_pieces`, then what was signed comes in pieces.
        root (Path): Folder of the data set.

    Raises:
        ManifestError: It is not the manifest of a sealed data set, of another version, edited, or
            makes no sense.
    """
    if not isinstance(data, dict) or data.get('format') != FORMAT:
        raise ManifestError(f'{root / MANIFEST} is not the manifest of a sealed data set')
    if data.get('version') not in VERSIONS:
        raise ManifestError(f'{root / MANIFEST} is of version {data.get("version")!r:.40}, this '
                            f'mmppvit reads {VERSIONS}: update mmppvit')
    digest, signature = data.pop('digest', None), data.pop('signature', None)
    if any(isinstance(value, PackedItems) for value in data.values()):
        content = CanonicalPieces(dict(data))
        found = content.digest
    else:
        content = canonical(data)
        found = hashlib.sha256(content).hexdigest()
    if digest != found:
        raise ManifestError(f'{root / MANIFEST} was edited or damaged after sealing: its digest '
                            'does not fit. Restore it, rebuild it (repair), or seal again')
    return _parse_fields(data, root), content, signature


def _parse_fields(data: dict, root: Path) -> dict:
    data = dict(data)
    data.pop('format')
    # Beyond that, the list of divisors in the scheme's own error would take forever.
    expect(data['scheme']['patch_size'] <= MAX_SIDE, 'patch_size is too large')
    data['scheme'] = scheme = read_scheme(data['scheme'])
    version = data['version']
    expect(type(version) is int and (version > 3 or version == scheme.format_version),
           f'version {version} has no such scheme')
    expect(version > 3 or scheme.gain == 1, f'version {version} has no gain')
    data['image_format'] = data.pop('picture_format')  # the files' name for it
    expect(data['image_format'] in FORMATS, f'picture_format is none of {FORMATS}')
    expect(is_hex(data['job'], 64), 'job is not a digest')
    expect(data['annotations'] is None or is_hex(data['annotations'], 64),
           'annotations is not a digest')
    data['scales'] = scales = _parse_scales(data['scales'])
    _check_key_entry(data['key'], scheme, version)
    expect(version > 3 or not _FIELDS_OF_4 & set(data), f'version {version} has no such fields')
    hidden = _parse_fields_of_4(data) if version > 3 else False
    data['skipped'] = [(str(source), str(reason)) for source, reason in data['skipped']]
    if version == PACKED_VERSION:
        data['images'] = _parse_packed(data, root, hidden)
        return data
    pictures = data.pop('pictures')
    if isinstance(pictures, PackedItems):
        data['images'] = ListedImages(pictures, partial(
            parse_entry, scheme=scheme, scales=scales, version=version, public=hidden))
        return data
    data['images'] = [parse_entry(item, scheme, scales, version, hidden) for item in pictures]
    expect(len({image.file for image in data['images']}) == len(data['images']),
           'a file is listed twice')
    return data


def _parse_packed(data: dict, root: Path, hidden: bool) -> EntryFile:
    packed = data.get('packed')
    expect(isinstance(packed, dict) and set(packed) == {'count', 'root', 'shards'},
           'packed has other fields')
    expect(type(packed['count']) is int and 0 < packed['count'] < 2**32, 'count is no number')
    expect(is_hex(packed['root'], 64), 'root is not a hash')
    expect(isinstance(packed['shards'], list) and all(
        isinstance(shard, list) and len(shard) == 2 and type(shard[0]) is int and shard[0] > 0
        and is_hex(shard[1], 64) for shard in packed['shards']), 'a shard has no size or digest')

    return EntryFile(root, packed['count'], packed['root'], partial(
        parse_entry, scheme=data['scheme'], scales=data['scales'], version=PACKED_VERSION,
        public=hidden))


def _parse_fields_of_4(data: dict) -> bool:
    """Check them; whether metadata is sealed."""
    for name in ('name', 'role'):
        check_label(name, data[name])
    expect(type(data['counter']) is int and 0 < data['counter'] <= MAX_COUNTER,
           'counter is not a number from 1 on')
    expect(data['padding'] in PADDINGS, f'padding is none of {PADDINGS}')
    hidden = data['sealed_metadata'] is not None
    if hidden:
        expect(is_hex(data['sealed_metadata'], 64), 'sealed_metadata is not a digest')
        expect(data['key'] is not None, 'metadata is sealed, and there is no key')
        expect(data['annotations'] is None and data['skipped'] == [],
               'metadata is sealed and in the open as well')
    return hidden


def check_label(what: str, value: object) -> None:
    """Raise ValueError unless ``value`` can be the name or the role of a data set."""
    if not isinstance(value, str) or re.fullmatch(r'[\w.+ -]{0,100}', value) is None:
        raise ValueError(f'{what} {value!r:.80} is not made of up to 100 letters, digits, spaces '
                         "and '._+-'")


def _parse_scales(scales: object) -> list:
    expect(isinstance(scales, list) and len(scales) > 0, 'scales is not a list')
    expect(len(scales) == 1 or None not in scales, 'several scales, and one has no size')
    return [None if scale is None else parse_size(scale) for scale in scales]


def _check_key_entry(entry: object, scheme: Scheme, version: int) -> None:
    if not scheme.shuffles and (version < 4 or entry is None):
        return expect(entry is None, f'scheme {scheme.name} has no key')
    expect(isinstance(entry, dict) and set(entry) == {'fingerprint', 'derivation'}
           and is_hex(entry['fingerprint'], 32),
           f'scheme {scheme.name} needs the fingerprint of a key')
    expect(entry['derivation'] in DERIVATIONS,
           f'key derivation {entry["derivation"]!r} is unknown: update mmppvit')
