"""What is to be sealed and how, and what became of it."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed.manifest import FORMATS, MAX_SIDE
from mmppvit.sealed.sources import Source

__all__ = ['SealJob', 'SealReport']


@dataclass(frozen=True)
class SealJob:
    """What to seal, how, and where to.

    Args:
        img_dir (Path): Folder of the plain images.
        out (Path): Folder of the sealed data set.
        scheme (Scheme): How to encrypt.
        ann_file (Path, optional): COCO json; without one, every image below ``img_dir``.
        key (Key, optional): For schemes that shuffle.
        scales (tuple): (w, h) to fit into, as MMDetection's ``Resize(keep_ratio=True)`` does, each
            of which gets a folder of its own; (None, ) for images as they are.
        image_format (str): 'png' or 'webp', both lossless.
        shard (tuple): (i, n): this run seals the i-th of n parts, counted from 0.
    """
    img_dir: Path
    out: Path
    scheme: Scheme
    ann_file: Path | None = None
    key: Key | None = None
    scales: tuple[tuple[int, int] | None, ...] = (None, )
    image_format: str = 'png'
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if self.scheme.shuffles and self.key is None:
            raise ValueError(f'scheme {self.scheme.name} needs --key-file, or another source of a '
                             'key; `mmppvit keygen` makes one')
        if not self.scheme.shuffles and self.key is not None:
            raise ValueError(f'scheme {self.scheme.name} uses no key: leave --key-file out, or '
                             'choose a scheme that shuffles')
        if self.scheme.shrinks and self.scheme.grid == 1:
            doing = 'mixing' if self.scheme.mixes else 'downsampling'
            raise ValueError(f'{doing} with --grid 1 leaves the images plain: choose 2 or more')
        if self.scheme.centers and not self.scheme.center_strength and not self.scheme.normalize:
            raise ValueError('--center-strength 0 takes nothing away: leave center out of --scheme')
        if self.image_format not in FORMATS:
            raise ValueError(f'format {self.image_format!r} is none of {FORMATS}')
        if len(set(self.scales)) < len(self.scales):
            raise ValueError(f'a scale is given twice: {self.scales}')
        if not 0 <= self.shard[0] < self.shard[1]:
            raise ValueError(f'shard {self.shard[0]}/{self.shard[1]} does not exist; shards of '
                             f'{self.shard[1]} are 0 to {self.shard[1] - 1}')
        if any(scale and max(scale) > MAX_SIDE for scale in self.scales):
            raise ValueError(f'a scale has a side of more than {MAX_SIDE} pixels: {self.scales}')
        inside = self.out.resolve()
        if inside.is_relative_to(self.img_dir.resolve()):
            raise ValueError(f'--out {self.out} lies in the folder of the plain images: choose '
                             'one outside of it')

    def digest(self, sources: Iterable[Source], annotations: str | None) -> str:
        """SHA-256 of everything that the result depends on, but the pixels."""
        asked = dict(
            scheme=self.scheme.to_dict(), scales=self.scales, format=self.image_format,
            key=self.key and self.key.fingerprint, annotations=annotations,
            sources=[source.name for source in sources])
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass
class SealReport:
    """What became of the images: files written now, kept from before, and what was skipped.

    ``complete``: all shards are through and the manifest is written. ``dropped_fields``: of the
    json, for what they may tell.
    """
    written: int = 0
    kept: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    complete: bool = False
    dropped_fields: list[str] = field(default_factory=list)
