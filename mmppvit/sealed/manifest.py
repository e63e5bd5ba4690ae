"""``manifest.json``: what a sealed data set consists of, and how to tell that it still does."""
from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed.entries import MAX_SIDE, ManifestError, SealedImage, image_folder
from mmppvit.sealed.entry_files import ENTRIES, ENTRY_INDEX, ENTRY_TREE, ByFile, EntryFile
from mmppvit.sealed.image_files import declared_size, decode_image, path_within
from mmppvit.sealed.manifest_format import (
    ANNOTATIONS,
    FORMATS,
    MANIFEST,
    SEALED_METADATA,
    VERSION,
    canonical_parts,
    dump,
    parse,
    parse_json,
    read_in_pieces,
    read_json,
    spooled,
    text_parts,
)
from mmppvit.sealed.sealed_metadata import open_metadata
from mmppvit.sealed.tar_shards import shard_file
from mmppvit.utils.atomic import replace_file
from mmppvit.utils.regular_files import read_parts, read_regular
from mmppvit.utils.remote_files import RemotePath, as_place

__all__ = ['ANNOTATIONS', 'FORMATS', 'MANIFEST', 'MAX_SIDE', 'SEALED_METADATA', 'Manifest',
           'ManifestError', 'SealedImage', 'image_folder']


@dataclass
class Manifest:
    """A sealed data set: ``root`` with what lies in it.

    Args:
        root (Path | RemotePath): Its folder.
        scheme (Scheme): How every image was encrypted.
        image_format (str): 'png' or 'webp'.
        scales (list): (w, h) that images were rescaled to fit into; [None] for as they are.
        job (str): MAC, or without a key digest, of what was asked for; a resumed run has to have
            the same.
        key (dict, optional): ``fingerprint`` and ``derivation`` of the key that shuffled or signed.
        annotations (str, optional): SHA-256 of the COCO json.
        images (Sequence[SealedImage]): In the order of the json, scale by scale; by file where
            metadata is sealed.
        skipped (list): (source, reason).
        name, role (str): What the owner calls the set, and what it is for, such as 'train'.
        counter (int): Rises whenever the set changes, so that an older copy can be told; 0 in
            manifests before version 4, which have none of these.
        padding (str): 'mirror', 'fit', or 'zero' as in all manifests before version 4.
        sealed_metadata (str, optional): SHA-256 of the encrypted metadata; see `check_key`.
        version (int): Of the format.
        packed (dict, optional): Of version 5: ``count`` and ``root`` of the entries, ``shards``,
            the size and SHA-256 of each; ``images`` are then read when they are asked for.
    """
    root: Path | RemotePath
    scheme: Scheme
    image_format: str
    scales: list[tuple[int, int] | None]
    job: str
    key: dict | None = None
    annotations: str | None = None
    images: list[SealedImage] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    name: str = ''
    role: str = ''
    counter: int = 0
    padding: str = 'zero'
    sealed_metadata: str | None = None
    version: int = VERSION
    packed: dict | None = None

    def __post_init__(self) -> None:
        self._signed: tuple[bytes | None, object] = b'', None
        if self.packed is not None:
            self.entries = self.images  # sealed metadata may take the place of the images
        self._hidden: dict | None = None  # what sealed metadata says, once it is open

    @cached_property
    def by_file(self) -> Mapping[str, SealedImage]:
        if isinstance(self.images, EntryFile):
            return ByFile(self.images)
        return {image.file: image for image in self.images}

    @property
    def pad_val(self) -> float | str:
        """As :func:`mmppvit.encryption.pad_to_patches` takes it."""
        return 'mirror' if self.padding == 'mirror' else 0

    @property
    def locked(self) -> bool:
        """Whether metadata is sealed and no key has opened it yet: `check_key` does."""
        return self.sealed_metadata is not None and self._hidden is None

    @classmethod
    def load(cls, root: str | Path | RemotePath, backend_args: dict | None = None, *,
             in_pieces: bool = False) -> Manifest:
        """The manifest of the folder ``root``.

        Nothing in it is authenticated before `check_key`.

        Args:
            root (str | Path | RemotePath): A folder, or its URL.
            backend_args (dict, optional): As :func:`mmppvit.utils.remote_files.as_place` takes it.
            in_pieces (bool): Of a set that is not packed: a fifth of the memory, for who reads the
                images in order; one by its number, or all of `by_file`, then takes long.

        Raises:
            ManifestError: There is none, it was edited, or it is not one at all.
        """
        root = as_place(root, backend_args)
        data = (read_in_pieces if in_pieces else read_json)(root / MANIFEST)
        try:
            fields, content, signature = parse(data, root)
            manifest = cls(root=root, **fields)
        except ManifestError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError,
                RecursionError) as err:
            reason = ' '.join(str(err).split())
            raise ManifestError(f'{root / MANIFEST} is not a valid manifest: {reason:.300}'
                                ) from None
        manifest._signed = content, signature
        return manifest

    def save(self, key: Key | None = None) -> None:
        """Write ``manifest.json``, signed by ``key`` where there is one, and flush it to disk."""
        near = None if isinstance(self.root, RemotePath) else self.root  # memory may be in /tmp
        if near is not None:
            near.mkdir(parents=True, exist_ok=True)
        with spooled(self, near) as entries:  # a million images are not all in memory
            digest, length = hashlib.sha256(), 0
            for part in canonical_parts(self, entries()):
                digest.update(part)
                length += len(part)
            data = dump(self)
            data['digest'] = digest.hexdigest()
            data['signature'] = None if key is None else \
                key.mac_pieces('manifest', (length, canonical_parts(self, entries()))) \
                if self.version > 3 else key.sign(b''.join(canonical_parts(self, entries())))
            with replace_file(self.root / MANIFEST, sync=True) as path, path.open('wb') as file:
                file.writelines(text_parts(self, data, entries()))
        self._signed = None, data['signature']

    def _signature(self, key: Key, content: bytes) -> str:
        return key.mac('manifest', content) if self.version > 3 else key.sign(content)

    def check_key(self, key: Key) -> None:
        """Refuse what the holder of ``key`` has not signed; open sealed metadata.

        Raises:
            ManifestError: It is another key, the manifest is not signed by it, or not signed at
                all.
        """
        if self.key is None:
            raise ManifestError(f'{self.root} was sealed without a key (scheme {self.scheme.name}),'
                                ' so nothing in it is signed: leave the key file out, or seal with '
                                'the key')
        if self.key['fingerprint'] != key.fingerprint:
            raise ManifestError(
                f'{self.root} was sealed with the key of fingerprint {self.key["fingerprint"]}, '
                f'the key file has {key.fingerprint}: name the key file it was sealed with')
        content, signature = self._signed
        if content is None:  # it was saved, and not loaded
            with spooled(self) as entries:
                content = b''.join(canonical_parts(self, entries()))
        expected = self._signature(key, content) if isinstance(content, bytes) else \
            key.mac_pieces('manifest', (content.length, content))
        if not hmac.compare_digest(ascii(signature), ascii(expected)):
            raise ManifestError(f'{self.root / MANIFEST} was edited: it is not what the holder of '
                                'the key has signed. Restore it, or seal again')
        if self.locked:
            self._hidden, self.images, self.skipped = open_metadata(self, key)
            self.__dict__.pop('by_file', None)

    def weaknesses(self) -> str | None:
        """What is weaker about a set of an older version, in one sentence; None for today's."""
        if self.version > 3:
            return None
        return (f'{self.root} has a manifest of version {self.version}: it has no name, role or '
                'counter, so an older copy or another set is not told from it; its job is a '
                'digest that confirms guesses of the whole json; patches of the black padding and '
                'equal images can be recognized. Seal it again to remove these weaknesses')

    def check_identity(self, name: str | None = None, role: str | None = None,
                       at_least: int | None = None) -> None:
        """Refuse another set than the one that is meant, or an older one.

        What it says is worth something only after `check_key`.

        Args:
            name (str, optional): What its name must be.
            role (str, optional): What its role must be.
            at_least (int, optional): The lowest counter.

        Raises:
            ManifestError: It is another one.
        """
        for what, wanted in (('name', name), ('role', role)):
            found = getattr(self, what)
            if wanted is not None and found != wanted:
                raise ManifestError(
                    f'{self.root} has the {what} {found!r} and {wanted!r} is expected: it is '
                    f'another data set, or was sealed without --{what}')
        if at_least is not None and self.counter < at_least:
            raise ManifestError(f'{self.root} has counter {self.counter} and at least {at_least} '
                                'is expected: it is an older copy. Get the newest one')

    def path(self, image: SealedImage) -> Path | RemotePath:
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
            content = self._content(image)
        except OSError as err:
            if err.strerror and 'longer' in err.strerror:
                content = b''  # is not what was sealed, and not worth reading
            else:
                raise ManifestError(f'{self.root / image.file} cannot be read '
                                    f'({err.strerror or err}): restore it, or seal again'
                                    ) from None
        self.check_content(image, content)
        return content

    def _content(self, image: SealedImage) -> bytes:
        if self.packed is None:
            return read_regular(self.path(image), max(image.bytes, 1))
        found = self.entries.find(image.file)
        if found is None:
            raise OSError('it is not in the data set')
        place = found[1]
        return read_parts(self.shard_path(place.shard), [(place.offset, image.bytes)])[0]

    def shard_path(self, number: int) -> Path | RemotePath:
        """Where shard ``number`` of a packed set lies.

        Raises:
            OSError: Outside of the folder, by a link.
        """
        return path_within(self.root, shard_file(number))

    def listed_files(self) -> set[str]:
        """Every file that belongs to the data set, relative to its folder."""
        files = {MANIFEST}
        if self.packed is None:
            files.update(self.by_file)
        else:
            files.update((ENTRIES, ENTRY_INDEX, ENTRY_TREE),
                         map(shard_file, range(len(self.packed['shards']))))
        if self.annotations is not None:
            files.add(ANNOTATIONS)
        if self.sealed_metadata is not None:
            files.add(SEALED_METADATA)
        return files

    def missing_files(self) -> list[str]:
        """Files of images, or shards, that are not there with their size."""
        if self.packed is None:
            sizes = {image.file: image.bytes for image in self.images}
        else:
            sizes = {shard_file(i): size for i, (size, _) in enumerate(self.packed['shards'])}
        return [file for file, size in sizes.items() if self.size_of(file) != size]

    def size_of(self, file: str) -> int | None:
        """Bytes of a file of the data set; None where there is none. A store is asked once for all.
        """
        if self.listing is not None:
            return self.listing.get(file)
        path = self.root / file
        try:
            return path.size() if isinstance(path, RemotePath) else os.stat(path).st_size
        except OSError:
            return None

    @cached_property
    def listing(self) -> dict[str, int] | None:
        """Sizes of all files that a store has; None of folders, and where it cannot tell."""
        return self.root.listing() if isinstance(self.root, RemotePath) else None

    def fetch(self) -> None:
        """Get what every image needs, before there are processes that would each do so."""
        if self.packed is not None:
            self.entries.fetch()

    def decode(self, image: SealedImage) -> np.ndarray:
        """uint8 (H, W, 3), BGR: the file of ``image``, checked, read once and decoded.

        Raises:
            ManifestError: It is missing, was changed, or never was an image of that size.
        """
        content = self.read(image)
        size = declared_size(content)  # what is much larger is not even decoded
        try:
            if size not in (None, image.size):
                raise OSError('it is {}x{} and should be {}x{}'.format(*size, *image.size))
            return decode_image(content)
        except OSError as err:  # only if it was sealed so
            raise ManifestError(f'{self.root / image.file} cannot be decoded: {err}') from None

    def read_annotations(self) -> dict:
        """The COCO json, checked; out of sealed metadata once `check_key` has opened it.

        Raises:
            ManifestError: It is missing, was changed, there never was one, or it needs the key.
        """
        if self.locked:
            raise ManifestError(f'the metadata of {self.root} is sealed: only the key opens it')
        if self.sealed_metadata is not None and self._hidden['annotations'] is not None:
            return json.loads(json.dumps(self._hidden['annotations']))
        content = self._annotations()
        try:
            return parse_json(content)
        except (ValueError, RecursionError) as err:
            raise ManifestError(f'{self.root / ANNOTATIONS} is not JSON: {err}') from None

    def check_annotations(self) -> None:
        """Raise ManifestError unless the COCO json is what was sealed; it is not parsed."""
        if self.sealed_metadata is None:
            self._annotations()

    def _annotations(self) -> bytes:
        if self.annotations is None:
            raise ManifestError(f'{self.root} was sealed without annotations')
        try:
            content = read_regular(path_within(self.root, ANNOTATIONS))
        except OSError as err:
            raise ManifestError(f'{self.root / ANNOTATIONS} is missing or cannot be read '
                                f'({err.strerror or err}): restore it') from None
        if hashlib.sha256(content).hexdigest() != self.annotations:
            raise ManifestError(f'{self.root / ANNOTATIONS} is missing or not what was sealed: '
                                'restore it')
        return content

