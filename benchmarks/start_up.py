"""Seconds and memory until the first image of a sealed data set is known, by its number of entries.

    python benchmarks/start_up.py 1000 100000 1000000

A manifest of version 4 is read whole; a packed set (version 5) has a signed root, and one entry is
followed up to it. Entries are synthetic, there are no images. Each is measured in a new process.
"""
from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from array import array
from pathlib import Path

import numpy as np

from mmppvit.encryption import DERIVATIONS, Key, Scheme
from mmppvit.sealed import Manifest, SealedImage
from mmppvit.sealed.entries import entry_of
from mmppvit.sealed.entry_files import ENTRIES, EntryFile, Place, entry_line, write_index
from mmppvit.sealed.merkle import leaf_hash


def _image(i: int) -> SealedImage:
    return SealedImage(f'images/{i:07d}.png', f'{i:07d}.jpg', 0, (64, 64), (64, 64), (32, 32),
                       3200, f'{i:064x}', f'{i:032x}', f'{i:032x}')


def write(root: Path, count: int, key: Key, packed: bool) -> None:
    named = dict(fingerprint=key.fingerprint, derivation=DERIVATIONS[-1])
    head = dict(root=root, scheme=Scheme('mix+shuffle'), image_format='png', scales=[None],
                job='0' * 64, counter=1, key=named)
    root.mkdir()
    if not packed:
        Manifest(images=[_image(i) for i in range(count)], **head).save(key)
        return
    lengths, leaves, names = array('Q'), bytearray(), []
    with (root / ENTRIES).open('wb') as file:
        for i in range(count):
            line = entry_line(Place(0, 3584 * i), entry_of(_image(i), 5))
            file.write(line + b'\n')
            lengths.append(len(line) + 1)
            leaves += leaf_hash(line)
            names.append(f'images/{i:07d}.png')
    tree_root = write_index(root, names, lengths, bytes(leaves))
    Manifest(images=EntryFile(root, count, tree_root, lambda item: item), version=5, packed=dict(
        count=count, root=tree_root, shards=[[3584 * count, '0' * 64]]), **head).save(key)


def measure(root: Path, count: int, key_file: Path, result) -> None:
    key = Key.load(key_file)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    manifest = Manifest.load(root)
    manifest.check_key(key)
    assert manifest.by_file[f'images/{count // 2:07d}.png'].sha256 == f'{count // 2:064x}'
    first = time.perf_counter() - start
    start = time.perf_counter()
    for i in np.random.default_rng(0).integers(0, count, 1000):
        assert manifest.by_file[f'images/{i:07d}.png']
    each = (time.perf_counter() - start) / 1000
    result.put((first, each, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def main() -> None:
    context = multiprocessing.get_context('spawn')
    counts = [int(text) for text in sys.argv[1:]] or [1000, 100_000, 1_000_000]
    found: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        key_file = Path(folder, 'owner.key')
        key = Key.create(key_file)
        for count in counts:
            for packed in (True, False):
                root = Path(folder, f'{count}-{packed}')
                write(root, count, key, packed)
                result = context.Queue()
                process = context.Process(target=measure, args=(root, count, key_file, result))
                process.start()
                first, each, memory = result.get()
                process.join()
                found[packed].append(first)
                print(f'{count:9d} entries, {"packed" if packed else "version 4"}: {first:.4f} s, '
                      f'{1e6 * each:.0f} us an image, {memory:.0f} MiB', flush=True)
    if len(counts) > 1:
        for packed, seconds in found.items():
            exponent = np.polyfit(np.log(counts), np.log(seconds), 1)[0]
            print(f'{"packed" if packed else "version 4"}: time grows with entries^{exponent:.2f}')


if __name__ == '__main__':
    main()
