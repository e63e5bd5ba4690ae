"""COCO AP of random boxes: ``FasterCocoMetric`` and ``CocoMetric``, in one process.

    python benchmarks/coco_evaluation.py --images 5000 --boxes 100
"""
from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import METRICS
from mmengine.registry import DefaultScope

import mmppvit.register_names  # noqa: F401

CLASSES = tuple(f'class {i}' for i in range(80))


def write_truth(path: Path, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """A COCO json; (N, 5) left, top, width, height, label of each image."""
    objects, annotations = [], []
    for image_id in range(1, count + 1):
        number = rng.integers(0, 15)
        found = np.concatenate([rng.uniform(0, 400, (number, 2)), rng.uniform(4, 200, (number, 2)),
                                rng.integers(0, len(CLASSES), (number, 1))], 1)
        objects.append(found)
        annotations += [dict(
            id=len(annotations) + 1 + i, image_id=image_id, category_id=int(box[4]) + 1,
            bbox=box[:4].tolist(), area=float(box[2] * box[3]), iscrowd=int(rng.random() < .02))
            for i, box in enumerate(found)]
    path.write_text(json.dumps(dict(
        images=[dict(id=i, width=640, height=480, file_name=f'{i}.jpg')
                for i in range(1, count + 1)], annotations=annotations,
        categories=[dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)])))
    return objects


def detections(objects: list[np.ndarray], boxes: int, rng: np.random.Generator) -> Iterator[dict]:
    """Of every image, half of them near its objects."""
    for image_id, found in enumerate(objects, 1):
        guess = np.concatenate([rng.uniform(0, 400, (boxes, 2)), rng.uniform(4, 200, (boxes, 2)),
                                rng.integers(0, len(CLASSES), (boxes, 1))], 1)
        if len(found):
            guess[:boxes // 2] = found[rng.integers(0, len(found), boxes // 2)]
            guess[:boxes // 2, :2] += rng.normal(0, 5, (boxes // 2, 2))
        guess[:, 2:4] += guess[:, :2]
        yield dict(img_id=image_id, ori_shape=(480, 640), pred_instances=dict(
            bboxes=torch.from_numpy(guess[:, :4].astype(np.float32)),
            scores=torch.from_numpy(rng.random(boxes).astype(np.float32)),
            labels=torch.from_numpy(guess[:, 4].astype(int))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--images', type=int, default=5000)
    parser.add_argument('--boxes', type=int, default=100)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as folder, DefaultScope.overwrite_default_scope('mmdet'):
        path = Path(folder, 'truth.json')
        samples = list(detections(write_truth(path, args.images, rng), args.boxes, rng))
        numbers = []
        for name in ('FasterCocoMetric', 'CocoMetric'):
            metric = METRICS.build(dict(type=name, ann_file=str(path), metric='bbox'))
            metric.dataset_meta = dict(classes=CLASSES)
            metric.process({}, samples)
            start = time.perf_counter()
            numbers.append(metric.evaluate(len(samples)))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f'{name}: {time.perf_counter() - start:.1f} s, process up to {peak} MiB')
        print('equal numbers' if numbers[0] == numbers[1] else f'they differ: {numbers}')


if __name__ == '__main__':
    main()
