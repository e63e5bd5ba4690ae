"""CPU seconds that people wait, before and after, in one run: a table of Markdown.

    python benchmarks/waiting.py --images 5000 --entries 1000 10000 100000 1000000

Before is what mmppvit did, or what MMDetection does, and runs beside what it does now: all of
mmppvit imported with MMDetection's registries, or names alone; sealed images opened twice, for
pixels and digest, or once; a manifest of all entries, or a signed root; CocoMetric, or
FasterCocoMetric; full attention, or 64 points.
"""
from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from coco_evaluation import CLASSES, detections, write_truth
from import_time import CASES, TIME
from mmdet.registry import METRICS, TRANSFORMS
from mmengine.registry import DefaultScope
from set_attention import seconds as block_seconds
from start_up import write as write_entries

import mmppvit.register  # noqa: F401
from mmppvit.encryption import Key, Scheme
from mmppvit.models.layers import build_blocks, resolve_arch
from mmppvit.sealed import Manifest, SealJob, seal_dataset


def _row(what: str, before: float, after: float) -> None:
    print(f'| {what} | {before:.3g} | {after:.3g} | {before / after:.1f} |', flush=True)


def _cpu(function: Callable[[], object], turns: int = 1) -> float:
    """Median CPU seconds of a call."""
    found = []
    for _ in range(turns):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return median(found)


def imports(turns: int) -> None:
    found: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(turns):
        for name, code in CASES.items():
            done = subprocess.run([sys.executable, '-c', code + TIME], capture_output=True,
                                  text=True, check=True)
            found[name].append(float(done.stdout.splitlines()[-1]))
    alone, names, whole = (median(times) for times in found.values())
    _row(f'import MMDetection with mmppvit (MMDetection alone: {alone:.3g})', whole, names)


def reading(folder: Path, count: int = 20) -> None:
    rng = np.random.default_rng(0)
    (folder / 'plain').mkdir()
    for i in range(count):
        waves = cv2.resize(rng.integers(0, 256, (25, 38, 3), np.uint8), (1216, 800))
        cv2.imwrite(str(folder / f'plain/{i}.jpg'), waves)
    seal_dataset(SealJob(folder / 'plain', folder / 'sealed', Scheme('mix')))
    paths = sorted((folder / 'sealed/images').iterdir())
    with DefaultScope.overwrite_default_scope('mmdet'):
        twice = [TRANSFORMS.build(dict(type=name)) for name in ('LoadImageFromFile', 'ReadSeal')]
        once = TRANSFORMS.build(dict(type='LoadSealedImage'))

    def read(*steps) -> None:
        for path in paths:
            results = dict(img_path=str(path))
            for step in steps:
                results = step(results)

    for steps in (twice, [once]):
        read(*steps)  # warms up
    _row(f'open, check and decode {count} sealed images of 800x1216',
         _cpu(lambda: read(*twice), 5), _cpu(lambda: read(once), 5))


def start_up(folder: Path, counts: list[int]) -> None:
    key = Key.create(folder / 'owner.key')

    def look(root: Path, name: str) -> None:
        manifest = Manifest.load(root)
        manifest.check_key(key)
        assert manifest.by_file[name]

    times: dict[bool, list[float]] = {False: [], True: []}
    for count in counts:
        for packed in times:
            root = folder / f'{count}-{packed}'
            write_entries(root, count, key, packed)
            times[packed].append(_cpu(partial(look, root, f'images/{count // 2:07d}.png')))
        _row(f'open a set of {count:,} entries and find one', times[False][-1], times[True][-1])
    if len(counts) > 1:
        grows = [np.polyfit(np.log(counts), np.log(found), 1)[0] for found in times.values()]
        print('| it grows with entries to the power of | {:.2f} | {:.2f} | |'.format(*grows))


def evaluation(folder: Path, images: int) -> None:
    rng = np.random.default_rng(0)
    path, found, numbers = folder / 'truth.json', [], []
    with DefaultScope.overwrite_default_scope('mmdet'):
        samples = list(detections(write_truth(path, images, rng), 100, rng))
        for name in ('CocoMetric', 'FasterCocoMetric'):
            metric = METRICS.build(dict(type=name, ann_file=str(path), metric='bbox'))
            metric.dataset_meta = dict(classes=CLASSES)
            metric.process({}, samples)
            found.append(_cpu(lambda metric=metric: numbers.append(metric.evaluate(len(samples)))))
    equal = 'equal numbers' if numbers[0] == numbers[1] else 'OTHER NUMBERS'
    _row(f'COCO AP of {images:,} images with 100 boxes, 80 classes ({equal})', *found)


def attention(tokens: list[int], turns: int) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # so that seconds of the thread are those of the process
    arch = resolve_arch('tiny')
    blocks = build_blocks(arch, num_built=1)[0], build_blocks(arch, 0., 1, 64)[0]
    for count in tokens:
        x = torch.randn(1, count, arch['embed_dims'])
        _row(f'a block of PEViT tiny, forward, {count:,} tokens', *(
            _cpu(partial(block_seconds, block, x, False), turns) for block in blocks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--images', type=int, default=5000, help='Of the evaluation.')
    parser.add_argument('--entries', type=int, nargs='+', default=[1000, 10_000, 100_000])
    parser.add_argument('--tokens', type=int, nargs='+', default=[4096, 10_240])
    parser.add_argument('--turns', type=int, default=3)
    args = parser.parse_args()
    print('| what | before, CPU s | now, CPU s | times less |\n|---|---|---|---|')
    with tempfile.TemporaryDirectory() as folder:
        imports(args.turns)
        reading(Path(folder))
        start_up(Path(folder), args.entries)
        evaluation(Path(folder), args.images)
        attention(args.tokens, args.turns)
    print(f'process up to {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB')


if __name__ == '__main__':
    main()
