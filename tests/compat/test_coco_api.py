"""Stock ``CocoDataset`` and ``CocoMetric`` give the AP that the boxes deserve."""
from __future__ import annotations

import json

import pytest
import torch
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric

from tests.annotations.coco_samples import sample


def _ap_of_perfect_detections(path, data: dict) -> float:
    """By MMDetection's metric, which reads the json by itself."""
    metric = CocoMetric(ann_file=str(path), metric='bbox')
    metric.dataset_meta = dict(classes=('cat', 'dog'))
    labels = {2: 0, 7: 1}
    for image in sample()['images']:
        found = [item for item in sample()['annotations'] if item['image_id'] == image['id']]
        boxes = torch.tensor([item['bbox'] for item in found])
        boxes[:, 2:] += boxes[:, :2]
        image_id = next(item['id'] for item in data['images']
                        if item['file_name'] == image['file_name'])
        metric.process({}, [dict(
            img_id=image_id, ori_shape=(image['height'], image['width']), pred_instances=dict(
                bboxes=boxes, labels=torch.tensor([labels[item['category_id']] for item in found]),
                scores=torch.ones(len(found))))])
    return metric.evaluate(2)['coco/bbox_mAP']


@pytest.mark.parametrize('bend', [
    lambda data: None,
    lambda data: data['annotations'][0].update(id=0),
    lambda data: [item.pop('area') for item in data['annotations']],
    lambda data: [item.pop('iscrowd') for item in data['annotations']],
    lambda data: [item.update(image_id=str(item['image_id'])) for item in data['annotations']],
    lambda data: data['annotations'].append(dict(data['annotations'][0], id=9, bbox=[1, 1, 0, 0])),
    lambda data: data.pop('info'),
], ids=['whole', 'id 0', 'no area', 'no iscrowd', 'string ids', 'no area of a box', 'no info'])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_perfect_detections_score_1(tmp_path, bend, encoding):
    data = sample()
    bend(data)
    (tmp_path / 'a.json').write_text(json.dumps(data), encoding=encoding)
    assert _ap_of_perfect_detections(tmp_path / 'a.json', data) == 1.


def test_what_the_check_refuses_is_left_to_mmdetection(tmp_path):
    data = sample()
    data['annotations'][0]['bbox'] = [1, 2, -3, 4]
    (tmp_path / 'a.json').write_text(json.dumps(data))
    assert COCO(str(tmp_path / 'a.json')).dataset == data
    with pytest.raises(FileNotFoundError):
        COCO(str(tmp_path / 'none.json'))
