"""CPU seconds and memory of all of sealing but the images: json, names, journal, json, manifest.

    python benchmarks/sealing_memory.py 20000 100000 200000

Entries are synthetic and no image is read or written, which workers do. Each number of images has a
process of its own.
"""
from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from own_process import result_of

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import SealedImage, SealJob, engines, journal, seal_dataset, seal_images


def write_json(path: Path, count: int) -> None:
    """Names and boxes as those of COCO."""
    rng = np.random.default_rng(0)
    with path.open('w') as file:
        file.write('{"images":[')
        for i in range(count):
            file.write(',' * (i > 0) + json.dumps(dict(
                license=3, file_name=f'{i // 1000:04d}/{i:012d}.jpg', height=480, width=640, id=i,
                coco_url=f'http://images.cocodataset.org/train2017/{i:012d}.jpg')))
        file.write('],"annotations":[')
        for i in range(count):
            x, y, width, height = (round(float(side), 2) for side in rng.uniform(10, 200, 4))
            file.write(',' * (i > 0) + json.dumps(dict(
                id=i + 1, image_id=i, category_id=1, bbox=[x, y, width, height],
                area=width * height, iscrowd=0, segmentation=[[
                    x, y, x + width, y, x + width, y + height, x, y + height]])))
        file.write('],"categories":[{"id":1,"name":"thing"}]}')


def _no_images(order, tasks, num_workers: int) -> Iterator[seal_images.Result]:
    for index, source, name in tasks:
        yield seal_images.Result(index, [SealedImage(
            f'images/{name}', source.name, 0, source.size, (640, 480), (320, 240), 230_400,
            f'{index:064x}', f'{index:032x}', f'{index:032x}')], look=hash((index, 'look')) % 2**64)


def measure(pipe, root: Path, key_file: Path) -> None:
    engines.ENGINES['none'] = lambda address: _no_images
    journal.sync_files = lambda folder, files: sum(1 for _ in files)
    job = SealJob(root / 'images', root / 'sealed', Scheme('mix+shuffle'), root / 'ann.json',
                  key=Key.load(key_file))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, at_the_end = time.process_time(), None

    def progress(done: int, total: int) -> None:
        nonlocal at_the_end
        if done == total:
            at_the_end = time.process_time()

    seal_dataset(job, progress=progress, engine='none')
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send((time.process_time() - start, time.process_time() - at_the_end, before / 1024,
               peak / 1024))


def main() -> None:
    counts = [int(text) for text in sys.argv[1:]] or [20_000, 100_000]
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        key_file = Path(folder, 'owner.key')
        Key.create(key_file)
        for count in counts:
            root = Path(folder, str(count))
            (root / 'images').mkdir(parents=True)
            write_json(root / 'ann.json', count)
            seconds, end, before, peak = result_of(measure, root, key_file)
            peaks.append(peak)
            size = (root / 'ann.json').stat().st_size / 2**20
            print(f'{count:9d} images, json of {size:.0f} MiB: {seconds:.1f} CPU s, {end:.1f} of '
                  f'them for json and manifest; up to {peak:.0f} MiB, of which {before:.0f} are '
                  'there before', flush=True)
    if len(counts) > 1:
        each = np.polyfit(counts, peaks, 1)[0] * 2**20
        print(f'{each:.0f} bytes more an image')


if __name__ == '__main__':
    main()
