"""Images sealed and read a second, by the number of workers, and the exponent that fits.

    python benchmarks/worker_rate.py --images 400 --workers 1 2

Wall seconds count here, so leave the machine alone; with more workers than cores they take turns.
"""
from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import Manifest, SealJob, seal_dataset

_MANIFEST: Manifest | None = None


def write_plain(folder: Path, count: int, size: tuple[int, int]) -> None:
    """JPEG files of noise that was enlarged."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(count):
        small = rng.integers(0, 256, (size[1] // 16, size[0] // 16, 3), np.uint8)
        cv2.imwrite(str(folder / f'{i:06d}.jpg'), cv2.resize(small, size))


def _open(root: Path) -> None:
    global _MANIFEST
    _MANIFEST = Manifest.load(root)
    cv2.setNumThreads(1)


def _read(index: int) -> int:
    return _MANIFEST.decode(_MANIFEST.images[index]).size


def read_all(root: Path, count: int, workers: int) -> float:
    """Seconds to check and decode all images, once the workers are there."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'), _open,
                             (root, )) as pool:
        list(pool.map(_read, range(workers)))
        start = time.perf_counter()
        list(pool.map(_read, range(count), chunksize=8))
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--images', type=int, default=400)
    parser.add_argument('--size', type=int, nargs=2, default=[640, 480])
    parser.add_argument('--workers', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--turns', type=int, default=3)
    args = parser.parse_args()
    rates: dict[str, dict[int, list[float]]] = {
        what: {workers: [] for workers in args.workers} for what in ('seal', 'read')}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        key = Key.create(root / 'owner.key')
        write_plain(root / 'images', args.images, tuple(args.size))
        for turn in range(args.turns):
            for workers in args.workers:
                job = SealJob(root / 'images', root / f'{turn}-{workers}',
                              Scheme('mix+center+shuffle', center_strength=1.), key=key)
                start = time.perf_counter()
                seal_dataset(job, num_workers=workers)
                rates['seal'][workers].append(args.images / (time.perf_counter() - start))
                rates['read'][workers].append(
                    args.images / read_all(job.out, args.images, workers))
    for what, found in rates.items():
        medians = [float(np.median(found[workers])) for workers in args.workers]
        print(f'{what}: ' + ', '.join(f'{rate:.0f} a second with {workers}' for workers, rate in
                                      zip(args.workers, medians, strict=True)))
        if len(args.workers) > 1:
            exponent = np.polyfit(np.log(args.workers), np.log(medians), 1)[0]
            print(f'  the rate grows with workers^{exponent:.2f} on {os.cpu_count()} cores')


if __name__ == '__main__':
    main()
