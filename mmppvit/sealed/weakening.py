"""What weakens the protection of a set and can be seen while it is sealed: a warning each."""
from __future__ import annotations

import glob
from collections import defaultdict, deque
from collections.abc import Iterable

import cv2
import numpy as np

from mmppvit.sealed.entries import ManifestError
from mmppvit.sealed.job import SealJob
from mmppvit.sealed.manifest import MANIFEST, Manifest
from mmppvit.sealed.packed_names import Source
from mmppvit.sealed.pseudonyms import pseudonym

__all__ = ['LookAlikes', 'joined_sets', 'look_of']

_BANDS, _NEAR = 8, 7  # two looks that differ in up to 7 bits share one of 8 bytes
_MOST_IN_BUCKET = 50


def look_of(img: np.ndarray, job: SealJob) -> int | None:
    """64 bits that near-duplicates share nearly all of; None where it does not matter.

    They are the signs of the differences of neighbors in 9x8 means (difference hash). They are
    never written down.
    """
    if not job.scheme.shuffles:
        return None
    small = cv2.resize(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY), (9, 8),
                       interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = small[:, 1:] > small[:, :-1]
    if np.ptp(small) < 8:  # without layout: all of those would be alike
        return None
    return int.from_bytes(np.packbits(bits).tobytes(), 'big')


class LookAlikes:
    """Near-duplicates among the images that one run seals.

    Whoever has one image of a pair, or knows it, finds the places of the other one's patches by
    comparing patches, whatever the key.
    """

    def __init__(self, job: SealJob) -> None:
        self._job = job
        self._pairs, self._first = 0, ('', '')
        # A bucket of thousands would take a long time and tell no more.
        self._buckets: dict[tuple[int, int], deque[tuple[str, int]]] = defaultdict(
            lambda: deque(maxlen=_MOST_IN_BUCKET))

    def add(self, name: str, look: int | None) -> None:
        """One image and what `look_of` says of it."""
        if look is None:
            return
        alike: dict[str, None] = {}
        for band in range(_BANDS):
            bucket = self._buckets[band, look >> 8 * band & 255]
            alike |= {other: None for other, its in bucket if (look ^ its).bit_count() <= _NEAR}
            bucket.append((name, look))
        if alike and not self._pairs:
            self._first = next(iter(alike)), name
        self._pairs += len(alike)

    def warnings(self) -> list[str]:
        """One sentence, or none."""
        if not self._pairs:
            return []
        first, second = self._first
        return [f'{self._pairs} pairs of images are near-duplicates, e.g. {first} and '
                f'{second}: whoever knows one of a pair finds where most patches of the other one '
                'belong']


def joined_sets(job: SealJob, sources: Iterable[Source]) -> list[str]:
    """Warnings that images are sealed in two ways, which together give the order away.

    Looked at are the scales of the job, and finished sets by the names of their plain images: those
    beside the output folder, as in ``sealed/mix`` and ``sealed/shuffle``, and those of its name
    one folder further away, as in ``mix/train`` and ``shuffle/train``.
    """
    warnings = []
    if job.scheme.shuffles and len(job.scales) > 1:
        warnings.append(
            f'{len(job.scales)} scales of every image are sealed: whoever has two of them joins '
            'their patches (67 % in an experiment). Use several scales only where the files stay '
            'with the owner')
    here = job.out.resolve()
    same = f'*/{glob.escape(here.name)}/{MANIFEST}'
    found = {path.parent for path in (*here.parent.glob(f'*/{MANIFEST}'),
                                      *here.parent.parent.glob(same))}
    found = sorted(found - {here})
    names = {source.name for source in sources} if found else set()
    for folder in found:
        try:
            other = Manifest.load(folder)
            its_own = {image.source for image in other.images}  # read only now if it is packed
        except ManifestError:
            continue
        common = its_own & (names | _pseudonyms(job, names, other))
        if common and (job.scheme.shuffles or other.scheme.shuffles) and \
                (other.scheme, list(other.scales)) != (job.scheme, list(job.scales)):
            warnings.append(
                f'{len(common)} images of these names are also sealed in {folder} with scheme '
                f'{other.scheme.name}: whoever has both finds the order of the shuffled ones (99 % '
                'of it in an experiment). Hand over only one of the two')
    return warnings


def _pseudonyms(job: SealJob, names: set[str], other: Manifest) -> set[str]:
    """What ``other`` may call these images."""
    if job.key is None or other.key is None or other.key['fingerprint'] != job.key.fingerprint:
        return set()
    return {pseudonym(job.key, name, other.name, other.role) for name in names}
