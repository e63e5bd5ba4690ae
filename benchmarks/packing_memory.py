"""CPU seconds and memory of packing a sealed folder, but for its images.

    python benchmarks/packing_memory.py 20000 60000

Entries are synthetic and images are a byte each, so that their list is what is measured. Each
number of images has a process of its own. --whole has the whole manifest in memory.
"""
from __future__ import annotations

import hashlib
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from own_process import result_of

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import Manifest, SealedImage, pack_dataset


class _Images(Sequence):

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> SealedImage:
        index = range(self._count)[index]
        name = f'{index // 1000:04d}/{index:012d}'
        digests = hashlib.sha512(name.encode()).hexdigest()  # as hard to compress as real ones
        return SealedImage(f'images/{name}.png', f'{name}.jpg', 0, (640, 480), (640, 480),
                           (320, 240), 1, digests[:64], digests[64:96], digests[96:])


def write(pipe, root: Path, key_file: Path, count: int) -> None:
    key = Key.load(key_file)
    Manifest(root, Scheme('mix+shuffle'), 'png', [None], '0' * 64, images=_Images(count), counter=1,
             key=dict(fingerprint=key.fingerprint, derivation=1), padding='fit').save(key)
    pipe.send(None)


def measure(pipe, root: Path, key_file: Path, whole: bool) -> None:
    Manifest.read = lambda self, image: bytes(image.bytes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    manifest = Manifest.load(root, **({} if whole else dict(in_pieces=True)))
    pack_dataset(manifest, Key.load(key_file), root.with_name(f'{root.name}-packed'))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send((time.process_time() - start, before / 1024, peak / 1024))


def main() -> None:
    whole = '--whole' in sys.argv
    counts = [int(text) for text in sys.argv[1:] if text.isdecimal()] or [20_000, 60_000]
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        key_file = Path(folder, 'owner.key')
        Key.create(key_file)
        for count in counts:
            root = Path(folder, str(count))
            result_of(write, root, key_file, count)
            seconds, before, peak = result_of(measure, root, key_file, whole)
            peaks.append(peak)
            print(f'{count:9d} images: {seconds:.1f} CPU s; up to {peak:.0f} MiB, of which '
                  f'{before:.0f} are there before', flush=True)
    if len(counts) > 1:
        each = np.polyfit(counts, peaks, 1)[0] * 2**20
        print(f'{each:.0f} bytes more an image')


if __name__ == '__main__':
    main()
