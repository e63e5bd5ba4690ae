"""``manifest.json``: what a sealed data set consists of, and how to tell that it still does."""
from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from mmppvit.encryption import DERIVATIONS, Key, Scheme, read_scheme
from mmppvit.sealed.image_files import is_safe_name, path_within
from mmppvit.utils.atomic import write_atomic

__all__ = ['ANNOTATIONS', 'FORMATS', 'MANIFEST', 'MAX_SIDE', 'Manifest', 'ManifestError',
           'SealedImage', 'image_folder']

FORMAT = 'mmppvit sealed data set'
VERSIONS = (1, 2, 3)  # 2 has baselines, 3 learned protection: older readers do not know them
MANIFEST, ANNOTATIONS = 'manifest.json', 'annotations.json'
FORMATS = ('png', 'webp')
MAX_SIDE = 1_000_000


class ManifestError(ValueError):
    """A manifest, or a file that it lists, is missing or not what it was when it was sealed."""


@dataclass(frozen=True)
class SealedImage:
    """One file of a sealed data set; sizes are (width, height) in pixels.

    Args:
        file (str): Relative to the data set's folder.
        source (str): Name of the plain file, relative to its folder.
        scale (int): Index into the manifest's ``scales``.
        plain (tuple): Size of the plain image: the frame of boxes and evaluation.
        scaled (tuple): After rescaling and before padding.
        size (tuple): Of the file's image.
        bytes (int): Of the file.
        sha256 (str): Of the file, in hex.
        nonce (str): In hex; empty for schemes without a key.
    """
    file: str
    source: str
    scale: int
    plain: tuple[int, int]
    scaled: tuple[int, int]
    size: tuple[int, int]
    bytes: int
    sha256: str
    nonce: str = ''

    @property
    def scale_factor(self) -> tuple[float, float]:
        """(w, h): from the plain frame to the one the image was rescaled to."""
        return self.scaled[0] / self.plain[0], self.scaled[1] / self.plain[1]


@dataclass
class Manifest:
    """A sealed data set: ``root`` with what lies in it.

    Args:
        root (Path): Its folder.
        scheme (Scheme): How every image was encrypted.
        image_format (str): 'png' or 'webp'.
        scales (list): (w, h) that images were rescaled to fit into; [None] for as they are.
        job (str): Digest of what was asked for; a resumed run has to have the same.
        key (dict, optional): ``fingerprint`` and ``derivation`` of schemes that shuffle.
        annotations (str, optional): SHA-256 of the COCO json.
        images (list[SealedImage]): In the order of the json, scale by scale.
        skipped (list): (source, reason).
    """
    root: Path
    scheme: Scheme
    image_format: str
    scales: list[tuple[int, int] | None]
    job: str
    key: dict | None = None
    annotations: str | None = None
    images: list[SealedImage] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @cached_property
    def by_file(self) -> dict[str, SealedImage]:
        return {image.file: image for image in self.images}

    @classmethod
    def load(cls, root: str | Path) -> Manifest:
        """The manifest of the folder ``root``.

        Raises:
            ManifestError: There is none, it was edited, or it is not one at all.
        """
        root = Path(root)
        data = _read_json(root / MANIFEST)
        try:
            return _checked(data, root)
        except ManifestError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError,
                RecursionError) as err:
            reason = ' '.join(str(err).split())
            raise ManifestError(f'{root / MANIFEST} is not a valid manifest: {reason:.300}'
                                ) from None

    def save(self, key: Key | None = None) -> None:
        """Write ``manifest.json``, signed by ``key`` where there is one."""
        data = dict(
            format=FORMAT, version=_version(self.scheme), scheme=self.scheme.to_dict(),
            picture_format=self.image_format, scales=self.scales, job=self.job, key=self.key,
            annotations=self.annotations, skipped=self.skipped,
            pictures=[asdict(image) for image in self.images])
        content = _canonical(data)
        data['digest'] = hashlib.sha256(content).hexdigest()
        data['signature'] = key.sign(content) if key is not None else None
        images = ',\n'.join(json.dumps(item) for item in data.pop('pictures'))
        head = json.dumps(data, indent=1)
        text = f'{head[:-2]},\n "pictures": [\n{images}\n ]\n}}\n'  # one image a line
        write_atomic(self.root / MANIFEST, text.encode())

    def check_key(self, key: Key) -> None:
        """Refuse a key that the data set was not sealed with.

        Raises:
            ManifestError: It is another one, or the manifest is not signed by it.
        """
        if self.key is None:
            raise ManifestError(f'{self.root} was sealed without a key (scheme {self.scheme.name}):'
                                ' leave the key file out')
        if self.key['fingerprint'] != key.fingerprint:
            raise ManifestError(
                f'{self.root} was sealed with the key of fingerprint {self.key["fingerprint"]}, '
                f'the key file has {key.fingerprint}: name the key file it was sealed with')
        content, signature = self._signed
        if not hmac.compare_digest(ascii(signature), ascii(key.sign(content))):
            raise ManifestError(f'{self.root / MANIFEST} was edited: it is not what the holder of '
                                'the key has signed. Restore it, or seal again')

    def path(self, image: SealedImage) -> Path:
        """Where ``image`` lies.

        Raises:
            OSError: Outside of the folder, by a link.
        """
        return path_within(self.root, image.file)

    def check_content(self, image: SealedImage, content: bytes) -> None:
        """Raise ManifestError unless ``content`` is what was sealed as ``image``."""
        if len(content) != image.bytes or \
                hashlib.sha256(content).hexdigest() != image.sha256:
            raise ManifestError(f'{self.root / image.file} is not what was sealed: it was '
                                'changed, damaged or swapped. Restore it, or seal again')

    def read(self, image: SealedImage) -> bytes:
        """Content of the file of ``image``, checked.

        Raises:
            ManifestError: It is missing or was changed.
        """
        try:
            path = self.path(image)
            if path.exists() and not path.is_file():  # a pipe would be waited for
                raise OSError('it is not a file')
            content = path.read_bytes()
        except OSError as err:
            raise ManifestError(f'{self.root / image.file} cannot be read '
                                f'({err.strerror or err}): restore it, or seal again') from None
        self.check_content(image, content)
        return content

    def read_annotations(self) -> dict:
        """The COCO json, checked.

        Raises:
            ManifestError: It is missing, was changed, or there never was one.
        """
        if self.annotations is None:
            raise ManifestError(f'{self.root} was sealed without annotations')
        try:
            path = path_within(self.root, ANNOTATIONS)
        except OSError as err:
            raise ManifestError(f'{self.root / ANNOTATIONS} cannot be read ({err}): restore it'
                                ) from None
        if not path.is_file() or \
                hashlib.sha256(path.read_bytes()).hexdigest() != self.annotations:
            raise ManifestError(f'{path} is missing or not what was sealed: restore it')
        return _read_json(path)


def image_folder(scales: list, index: int) -> str:
    """Folder of the images of one scale: 'images', or 'images_1333x800' beside others."""
    return 'images' if len(scales) == 1 else 'images_{}x{}'.format(*scales[index])


def _canonical(data: dict) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(',', ':')).encode()


def _read_json(path: Path) -> object:
    def refuse(name: str) -> None:
        raise ValueError(f'{name} is not a number of JSON')

    try:
        return json.loads(path.read_bytes(), parse_constant=refuse)
    except FileNotFoundError:
        raise ManifestError(f'no {path}: tools/encrypt_dataset.py makes it when it is through '
                            '(--resume goes on with an interrupted run)') from None
    except OSError as err:
        raise ManifestError(f'{path} cannot be read: {err.strerror}') from None
    except (ValueError, RecursionError) as err:
        raise ManifestError(f'{path} is not JSON: {err}') from None


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _checked(data: object, root: Path) -> Manifest:
    if not isinstance(data, dict) or data.get('format') != FORMAT:
        raise ManifestError(f'{root / MANIFEST} is not the manifest of a sealed data set')
    if data.get('version') not in VERSIONS:
        raise ManifestError(f'{root / MANIFEST} is of version {data.get("version")!r:.40}, this '
                            f'mmppvit reads {VERSIONS}: update mmppvit')
    digest, signature = data.pop('digest', None), data.pop('signature', None)
    content = _canonical(data)
    if digest != hashlib.sha256(content).hexdigest():
        raise ManifestError(f'{root / MANIFEST} was edited or damaged after sealing: its digest '
                            'does not fit. Restore it, or seal again')
    manifest = _parse(data, root)
    manifest._signed = (content, signature)
    return manifest


def _parse(data: dict, root: Path) -> Manifest:
    data = dict(data)
    data.pop('format')
    version = data.pop('version')
    # Beyond that, the list of divisors in the scheme's own error would take forever.
    _expect(data['scheme']['patch_size'] <= MAX_SIDE, 'patch_size is too large')
    data['scheme'] = read_scheme(data['scheme'])
    _expect(version == _version(data['scheme']), f'version {version} has no such scheme')
    data['image_format'] = data.pop('picture_format')  # the files' name for it
    _expect(data['image_format'] in FORMATS, f'picture_format is none of {FORMATS}')
    _expect(_is_digest(data['job']), 'job is not a digest')
    _expect(data['annotations'] is None or _is_digest(data['annotations']),
            'annotations is not a digest')
    data['scales'] = _parse_scales(data['scales'])
    _check_key_entry(data['key'], data['scheme'])
    data['skipped'] = [(str(source), str(reason)) for source, reason in data['skipped']]
    data['images'] = [_parse_image(item, data) for item in data.pop('pictures')]
    _expect(len({image.file for image in data['images']}) == len(data['images']),
            'a file is listed twice')
    return Manifest(root=root, **data)


def _version(scheme: Scheme) -> int:
    """The oldest version that has the scheme, so that as many readers as can be know it."""
    return scheme.format_version


def _is_digest(value: object) -> bool:
    return _is_hex(value, 64)


def _is_hex(value: object, length: int) -> bool:
    return isinstance(value, str) and re.fullmatch(f'[0-9a-f]{{{length}}}', value) is not None


def _size(value: object) -> tuple[int, int]:
    _expect(isinstance(value, list) and len(value) == 2
            and all(type(side) is int and 0 < side <= MAX_SIDE for side in value),
            f'{value!r:.80} is not a size')
    return tuple(value)


def _parse_scales(scales: object) -> list:
    _expect(isinstance(scales, list) and len(scales) > 0, 'scales is not a list')
    _expect(len(scales) == 1 or None not in scales, 'several scales, and one has no size')
    return [None if scale is None else _size(scale) for scale in scales]


def _check_key_entry(entry: object, scheme: Scheme) -> None:
    if not scheme.shuffles:
        return _expect(entry is None, f'scheme {scheme.name} has no key')
    _expect(isinstance(entry, dict) and set(entry) == {'fingerprint', 'derivation'}
            and _is_hex(entry['fingerprint'], 32),
            f'scheme {scheme.name} needs the fingerprint of a key')
    _expect(entry['derivation'] in DERIVATIONS,
            f'key derivation {entry["derivation"]!r} is unknown: update mmppvit')


def _parse_image(item: dict, data: dict) -> SealedImage:
    sizes = {name: _size(item[name]) for name in ('plain', 'scaled', 'size')}
    image = SealedImage(**{**item, **sizes})
    _expect(is_safe_name(image.file), f'{image.file!r:.80} is not a name within the folder')
    _expect(isinstance(image.source, str), 'source is not a name')
    _expect(type(image.scale) is int and 0 <= image.scale < len(data['scales']),
            f'scale {image.scale!r:.80} is not listed')
    _expect(image.file.startswith(image_folder(data['scales'], image.scale) + '/'),
            f'{image.file} is not in the folder of its scale')
    _expect(type(image.bytes) is int and image.bytes > 0 and _is_digest(image.sha256),
            f'{image.file} has no size or no digest')
    scheme = data['scheme']
    _expect(_is_hex(image.nonce, 32 if scheme.shuffles else 0),
            f'{image.file} has a wrong nonce')
    padded = tuple(-(-side // scheme.patch_size) * scheme.side for side in image.scaled)
    _expect(image.size == padded, f'{image.file}: {image.scaled} does not become '
            f'{image.size} with patch {scheme.patch_size} and grid {scheme.grid}')
    return image
