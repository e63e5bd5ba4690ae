"""What is to be sealed and how, and what became of it."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed.entries import MAX_SIDE
from mmppvit.sealed.manifest_format import FORMATS, PADDINGS, canonical, check_label
from mmppvit.sealed.pseudonyms import pseudonym
from mmppvit.sealed.sources import Annotations, Source

__all__ = ['CONTAINERS', 'SealJob', 'SealReport']

CONTAINERS = ('folder', 'wds')


@dataclass(frozen=True)
class SealJob:
    """What to seal, how, and where to.

    Args:
        img_dir (Path): Folder of the plain images.
        out (Path): Folder of the sealed data set.
        scheme (Scheme): How to encrypt.
        ann_file (Path, optional): COCO json; without one, every image below ``img_dir``.
        key (Key, optional): Signs the manifest; schemes that shuffle need one.
        scales (tuple): (w, h) to fit into, as MMDetection's ``Resize(keep_ratio=True)`` does, each
            of which gets a folder of its own; (None, ) for images as they are.
        image_format (str): 'png' or 'webp', both lossless.
        shard (tuple): (i, n): this run seals the i-th of n parts, counted from 0.
        window (tuple, optional): (lo, hi): of images of more than 8 bits, the values that become 0
            and 255.
        name, role (str): What the set is called and what it is for; signed with the rest.
        counter (int): The least that the manifest gets; one more than before if a finished set is
            resumed and changes.
        padding (str, optional): Of images that are no whole patches: 'mirror'; 'fit', which
            rescales them to whole patches instead, so that no patch shows that it lay at the
            border; 'zero', as in sets sealed before manifests had a version 4. None: see `border`.
        pseudonyms (bool): Files get names that only the key's holder can turn back.
        seal_metadata (bool): Boxes, names and sizes are encrypted; implies ``pseudonyms``.
        container (str): 'folder' of images, or 'wds': tar shards, as :func:`pack_dataset` makes.
    """
    img_dir: Path
    out: Path
    scheme: Scheme
    ann_file: Path | None = None
    key: Key | None = None
    scales: tuple[tuple[int, int] | None, ...] = (None, )
    image_format: str = 'png'
    shard: tuple[int, int] = (0, 1)
    window: tuple[float, float] | None = None
    name: str = ''
    role: str = ''
    counter: int = 1
    padding: str | None = None
    pseudonyms: bool = False
    seal_metadata: bool = False
    container: str = 'folder'

    def __post_init__(self) -> None:
        self._check_scheme()
        if self.key is None and (self.pseudonyms or self.seal_metadata):
            raise ValueError('pseudonyms and sealed metadata need a key: --key-file')
        if self.image_format not in FORMATS:
            raise ValueError(f'format {self.image_format!r} is none of {FORMATS}')
        if self.container not in CONTAINERS:
            raise ValueError(f'container {self.container!r} is none of {CONTAINERS}')
        if self.padding not in (None, *PADDINGS):
            raise ValueError(f'padding {self.padding!r} is none of {PADDINGS}')
        check_label('name', self.name)
        check_label('role', self.role)
        if self.counter < 1:
            raise ValueError(f'counter must be 1 or more, got {self.counter}')
        if len(set(self.scales)) < len(self.scales):
            raise ValueError(f'a scale is given twice: {self.scales}')
        if not 0 <= self.shard[0] < self.shard[1]:
            raise ValueError(f'shard {self.shard[0]}/{self.shard[1]} does not exist; shards of '
                             f'{self.shard[1]} are 0 to {self.shard[1] - 1}')
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError(f'window {self.window}: the first value must be below the second')
        if any(scale and max(scale) > MAX_SIDE for scale in self.scales):
            raise ValueError(f'a scale has a side of more than {MAX_SIDE} pixels: {self.scales}')
        inside = self.out.resolve()
        if inside.is_relative_to(self.img_dir.resolve()):
            raise ValueError(f'--out {self.out} lies in the folder of the plain images: choose '
                             'one outside of it')

    def _check_scheme(self) -> None:
        if self.scheme.shuffles and self.key is None:
            raise ValueError(f'scheme {self.scheme.name} needs --key-file, or another source of a '
                             'key; `mmppvit keygen` makes one')
        if self.scheme.shrinks and self.scheme.grid == 1:
            doing = 'mixing' if self.scheme.mixes else 'downsampling'
            raise ValueError(f'{doing} with --grid 1 leaves the images plain: choose 2 or more')
        if self.scheme.centers and not self.scheme.center_strength and not self.scheme.normalize:
            raise ValueError('--center-strength 0 takes nothing away: leave center out of --scheme')

    @property
    def border(self) -> str:
        """The padding; unless given, 'fit' for schemes that shuffle and lose detail anyway.

        Else it is 'mirror', which keeps all pixels.
        """
        hides = self.scheme.shuffles and not self.scheme.restorable
        return self.padding or ('fit' if hides else 'mirror')

    @property
    def pad_val(self) -> float | str:
        """As :func:`mmppvit.encryption.pad_to_patches` takes it."""
        return 'mirror' if self.border == 'mirror' else 0

    @property
    def hides_names(self) -> bool:
        return self.pseudonyms or self.seal_metadata

    def public_name(self, source: str) -> str:
        """What the manifest calls the plain image ``source``."""
        return pseudonym(self.key, source, self.name, self.role) if self.hides_names else source

    def plain_mac(self, source: str, content: bytes) -> str:
        """What tells the plain file ``source`` from another one, to the key's holder; else ''.

        The set's name and role go in, so that two sets with the same image do not show it.
        """
        if self.key is None:
            return ''
        return self.key.mac('plain', self.name.encode(), self.role.encode(),
                            source.encode(errors='surrogatepass'), content)[:32]

    def digest(self, sources: Iterable[Source], kept: Annotations | None) -> str:
        """Names everything that the result depends on, but the pixels.

        With a key it is a MAC, as a plain digest would confirm guesses of whatever goes in. Without
        one the json is left out: what it says of skipped images is nobody's business.

        Args:
            sources (Iterable[Source]): All plain images.
            kept (Annotations, optional): The json as far as it would be kept.
        """
        asked = dict(
            version=4, scheme=self.scheme.to_dict(), scales=self.scales, format=self.image_format,
            padding=self.border, name=self.name, role=self.role, pseudonyms=self.hides_names,
            seal_metadata=self.seal_metadata, sources=[],
            key=self.key and self.key.fingerprint)
        if self.window is not None:
            asked['window'] = list(self.window)
        asked = canonical(asked)
        if self.key is None:
            return _sha256(_with_names(asked, b'"sources":[', b',', sources))
        length = sum(map(len, _with_names(asked, b'"sources":[', b',', sources)))
        return self.key.mac_pieces(
            'job', (length, _with_names(asked, b'"sources":[', b',', sources)),
            (0, ()) if kept is None else (kept.size(), kept.parts()))

    def old_digest(self, sources: Iterable[Source], annotations: str | None) -> str:
        """As manifests before version 4 have it: ``annotations`` is the SHA-256 of the json."""
        asked = dict(
            scheme=self.scheme.to_dict(), scales=self.scales, format=self.image_format,
            key=self.key and self.key.fingerprint, annotations=annotations, sources=[])
        return _sha256(_with_names(json.dumps(asked, sort_keys=True).encode(), b'"sources": [',
                                   b', ', sources))


def _with_names(asked: bytes, start: bytes, comma: bytes, sources: Iterable[Source]
                ) -> Iterator[bytes]:
    """The JSON ``asked`` in pieces, with the names of all images in its list that is empty."""
    before, _, after = asked.partition(start + b']')  # within a text its quotes would be escaped
    yield before + start
    for count, source in enumerate(sources):
        yield comma * (count > 0) + canonical(source.name)
    yield b']' + after


def _sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


@dataclass
class SealReport:
    """What became of the images: files written now, kept from before, and what was skipped.

    ``complete``: all shards are through and the manifest is written. ``dropped_fields``: of the
    json, for what they may tell. ``warnings``: what weakens the protection of this very set, or
    loses much of its images. ``clipped``: share of the values that a gain pushed to 0 or 255, of
    the images sealed now; None without a gain.
    ``remarks``: what was corrected, or taken though it is not as usual. ``removed``: images that
    the set had before and has no more.
    """
    written: int = 0
    kept: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    complete: bool = False
    dropped_fields: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    clipped: float | None = None
