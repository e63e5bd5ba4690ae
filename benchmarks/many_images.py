"""Rate and peak memory of sealing and packing many small synthetic images.

    python benchmarks/many_images.py plain DIR --images 200000
    python benchmarks/many_images.py seal DIR --num-workers 2
    python benchmarks/many_images.py pack DIR
    python benchmarks/many_images.py seal DIR --container wds
"""
from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import cv2
import numpy as np

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import Manifest, SealJob, pack_dataset, seal_dataset

SIDE = 64


def write_plain(root: Path, count: int) -> None:
    """Waves of several colors as JPEG, a thousand in a folder, and a box in each."""
    rng = np.random.default_rng(0)
    grid = np.arange(SIDE) / SIDE
    images, annotations = [], []
    for i in range(count):
        name = f'{i // 1000:04d}/{i:07d}.jpg'
        (root / 'images' / name).parent.mkdir(parents=True, exist_ok=True)
        waves = np.sin(2 * np.pi * (rng.uniform(1, 6, (3, 1, 1)) * grid[:, None]
                                    + rng.uniform(1, 6, (3, 1, 1)) * grid + rng.random((3, 1, 1))))
        cv2.imwrite(str(root / 'images' / name), (127 * waves + 128).astype(np.uint8)
                    .transpose(1, 2, 0))
        images.append(dict(id=i + 1, file_name=name, width=SIDE, height=SIDE))
        annotations.append(dict(id=i + 1, image_id=i + 1, category_id=1, bbox=[8, 8, 24, 24],
                                area=576, iscrowd=0))
    (root / 'ann.json').write_text(json.dumps(dict(
        images=images, annotations=annotations, categories=[dict(id=1, name='wave')])))


def _key(root: Path) -> Key:
    path = root / 'owner.key'
    return Key.load(path) if path.exists() else Key.create(path)


def seal(root: Path, num_workers: int, container: str) -> int:
    out = root / ('sealed' if container == 'folder' else f'sealed_{container}')
    job = SealJob(root / 'images', out, Scheme('mix+shuffle'), root / 'ann.json', key=_key(root),
                  container=container)
    report = seal_dataset(job, resume=out.exists(), num_workers=num_workers)
    return report.written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('step', choices=['plain', 'seal', 'pack'])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--images', type=int, default=200_000)
    parser.add_argument('--num-workers', type=int, default=2)
    parser.add_argument('--container', choices=['folder', 'wds'], default='folder')
    args = parser.parse_args()
    start = time.perf_counter()
    if args.step == 'plain':
        write_plain(args.folder, args.images)
        return
    if args.step == 'seal':
        count = seal(args.folder, args.num_workers, args.container)
    else:
        count = len(pack_dataset(Manifest.load(args.folder / 'sealed'), _key(args.folder),
                                 args.folder / 'packed').images)
    seconds = time.perf_counter() - start
    peaks = [resource.getrusage(who).ru_maxrss // 1024
             for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f'{args.step}: {count} images in {seconds:.0f} s, {count / seconds:.0f} a second; '
          f'process up to {peaks[0]} MiB, workers up to {peaks[1]} MiB')


if __name__ == '__main__':
    main()
