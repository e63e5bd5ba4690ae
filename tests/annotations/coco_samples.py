"""COCO jsons to bend, and what pycocotools makes of perfect detections."""
from __future__ import annotations

import contextlib
import copy
import io

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def sample() -> dict:
    """Two images with three boxes of two classes; the ids of the classes have a gap."""
    boxes = [(11, 1, 2, [4, 5, 20, 10]), (12, 1, 7, [30, 8, 12.5, 20]), (13, 2, 2, [0, 0, 40, 30])]
    return dict(
        info={}, licenses=[],
        images=[dict(id=1, file_name='a.jpg', width=64, height=48),
                dict(id=2, file_name='b.jpg', width=48, height=64)],
        annotations=[dict(id=index, image_id=image, category_id=category, bbox=box,
                          area=box[2] * box[3], iscrowd=0,
                          segmentation=[[box[0], box[1], box[0] + box[2], box[1], box[0],
                                         box[1] + box[3]]])
                     for index, image, category, box in boxes],
        categories=[dict(id=2, name='cat', supercategory='animal'),
                    dict(id=7, name='dog', supercategory='animal')])


def ap_of_perfect_detections(data: dict) -> dict[int | str, float]:
    """AP of every category, by pycocotools, of detections that are the boxes of ``data``.

    At most 100 boxes of a category in an image; categories without boxes have an AP of -1.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(data)
        truth.createIndex()
        found = truth.loadRes([
            dict(image_id=item['image_id'], category_id=item['category_id'],
                 bbox=list(item['bbox']), score=.5)
            for item in data['annotations'] if not item['iscrowd']])
        judge = COCOeval(truth, found, 'bbox')
        # Of all sizes alone: bounds that nothing here depends on take most of the time.
        judge.params.areaRng, judge.params.areaRngLbl = judge.params.areaRng[:1], ['all']
        judge.params.maxDets = judge.params.maxDets[-1:]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval['precision'][:, :, :, 0, 0]
    means = [precision[:, :, k].mean() for k in range(len(judge.params.catIds))]
    return {category: round(float(mean), 9)
            for category, mean in zip(judge.params.catIds, means, strict=True)}
