"""``FasterCocoMetric`` has the numbers of ``CocoMetric``, to the last digit."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmdet.registry import METRICS
from pycocotools import mask as masks_of_coco

from mmppvit.evaluation import faster_coco_metric

pytest.importorskip('faster_coco_eval', reason='pip install mmppvit[fast]')


def _predictions(data: dict, rng: np.random.Generator, with_masks: bool = False) -> list[dict]:
    """Of every image but one: annotations shifted and mislabeled, beside random boxes."""
    labels = {item['id']: i for i, item in enumerate(data['categories'])}
    samples = []
    for image in data['images']:
        width, height = image['width'], image['height']
        items = [item for item in data['annotations'] if item['image_id'] == image['id']]
        near = np.array([item['bbox'] for item in items]).reshape(-1, 4)
        near = near + rng.normal(0, .1, near.shape) * near[:, [2, 3, 2, 3]]
        random = rng.uniform(1, min(width, height) / 2, (9, 4))
        boxes = np.concatenate([near, near, random]).astype(np.float32)
        boxes[:, 2:] = boxes[:, :2] + np.abs(boxes[:, 2:])
        classes = [labels[item['category_id']] for item in items] * 2
        classes = np.array([*classes, *rng.integers(0, len(labels), 9)])
        found = dict(
            bboxes=torch.from_numpy(boxes), labels=torch.from_numpy(classes),
            # Equal scores: their order decides.
            scores=torch.from_numpy(rng.integers(1, 20, len(boxes)).astype(np.float32) / 20))
        if with_masks:
            bits = np.zeros((height, width, len(boxes)), np.uint8, order='F')
            for i, (x, y, right, low) in enumerate(boxes.clip(0).astype(int)):
                bits[y:low + 1, x:right + 1, i] = 1
            found['masks'] = masks_of_coco.encode(bits)
        samples.append(dict(img_id=image['id'], ori_shape=(height, width), pred_instances=found))
    for name in ('bboxes', 'labels', 'scores'):
        samples[-1]['pred_instances'][name] = samples[-1]['pred_instances'][name][:0]
    if with_masks:
        samples[-1]['pred_instances']['masks'] = []
    return samples


def _evaluate(name: str, path, samples: list[dict], **kwargs) -> dict:
    metric = METRICS.build(dict(type=name, ann_file=str(path), **kwargs))
    data = json.loads(path.read_text())
    metric.dataset_meta = dict(classes=tuple(item['name'] for item in data['categories']))
    metric.process({}, samples)
    return metric.evaluate(len(samples))


@pytest.mark.parametrize('kwargs', [
    dict(metric='bbox', classwise=True), dict(metric=['bbox', 'segm'], classwise=True),
    dict(metric='proposal'), dict(metric='bbox', proposal_nums=(1, 3, 9)),
    dict(metric='bbox', iou_thrs=np.array([.5, .75]), metric_items=['mAP', 'mAP_50', 'AR@1000']),
    dict(metric='bbox', use_mp_eval=True)])
def test_equal_numbers_on_coco(coco_mini, kwargs):
    path = coco_mini / 'annotations/instances_val2017.json'
    samples = _predictions(json.loads(path.read_text()), np.random.default_rng(0),
                           'segm' in kwargs['metric'])
    numbers = _evaluate('FasterCocoMetric', path, samples, **kwargs)
    assert numbers
    stock = _evaluate('CocoMetric', path, samples, **{**kwargs, 'use_mp_eval': False})
    np.testing.assert_equal(numbers, stock)  # NaN is equal to NaN


@pytest.mark.parametrize('seed', range(6))
def test_equal_numbers_on_random_boxes(tmp_path, seed):
    """With crowds, objects that do not count, annotations of id 0 and classes without objects."""
    rng = np.random.default_rng(seed)
    images = [dict(id=i, file_name=f'{i}.png', width=300, height=200) for i in range(12)]
    annotations = []
    for image in images:
        for left, top, width, height in rng.uniform(1, 150, (rng.integers(0, 6), 4)):
            annotations.append(dict(
                id=len(annotations), image_id=image['id'], category_id=int(rng.integers(1, 4)),
                bbox=[left, top, width, height], area=width * height,
                iscrowd=int(rng.random() < .2), ignore=int(rng.random() < .2)))
    data = dict(images=images, annotations=annotations, categories=[
        dict(id=i, name=f'class {i}') for i in range(1, 6)])
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(data))
    samples = _predictions(data, rng)
    np.testing.assert_equal(*(_evaluate(name, path, samples, metric='bbox', classwise=True)
                              for name in ('FasterCocoMetric', 'CocoMetric')))


def test_without_the_package_pycocotools_counts(coco_mini, monkeypatch):
    path = coco_mini / 'annotations/instances_val2017.json'
    samples = _predictions(json.loads(path.read_text()), np.random.default_rng(1))
    first = _evaluate('FasterCocoMetric', path, samples, metric='bbox')
    monkeypatch.setattr(faster_coco_metric, 'COCOeval_faster', None)
    assert _evaluate('FasterCocoMetric', path, samples, metric='bbox') == first


def test_results_go_to_a_file_if_asked_for(coco_mini, tmp_path):
    path = coco_mini / 'annotations/instances_val2017.json'
    samples = _predictions(json.loads(path.read_text()), np.random.default_rng(2))
    numbers = _evaluate('FasterCocoMetric', path, samples, outfile_prefix=str(tmp_path / 'out'))
    written = json.loads((tmp_path / 'out.bbox.json').read_text())
    assert len(written) == sum(len(sample['pred_instances']['scores']) for sample in samples)
    assert numbers == _evaluate('FasterCocoMetric', path, samples)
