"""``mmppvit.attacks.scoring.ap_interval`` beside pycocotools' own accumulation."""
from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmppvit.attacks.scoring.ap_interval import ap_interval, average_precision


def _evaluated(seed: int, images: int = 6, crowd: bool = True) -> COCOeval:
    """Boxes that are found more or less well, or not, or where nothing is; scores with ties."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for index in range(images):
        for _ in range(rng.integers(1, 9)):
            x, y, width, height = rng.uniform(5, 60, 4)
            category = int(rng.integers(1, 4))
            truth.append(dict(
                id=len(truth) + 1, image_id=index, category_id=category, area=width * height,
                bbox=[x, y, width, height], iscrowd=int(crowd and rng.random() < .1)))
            if rng.random() < .8:
                dx, dy = rng.normal(0, 3, 2)
                found.append(dict(image_id=index, category_id=int(rng.integers(1, 4))
                                  if rng.random() < .2 else category,
                                  bbox=[x + dx, y + dy, width, height],
                                  score=round(float(rng.random()), 1)))
    dataset = COCO()
    dataset.dataset = dict(images=[dict(id=index) for index in range(images)],
                           annotations=truth, categories=[dict(id=i) for i in range(1, 5)])
    with contextlib.redirect_stdout(io.StringIO()):
        dataset.createIndex()
        evaluation = COCOeval(dataset, dataset.loadRes(found), 'bbox')
        evaluation.evaluate()
    return evaluation


@pytest.mark.parametrize('seed', range(5))
def test_it_is_pycocotools_ap(seed):
    """Of all images, and of some drawn twice, which pycocotools is told are others."""
    evaluation = _evaluated(seed)
    count, classes = 6, 4
    blocks = np.array(evaluation.evalImgs, dtype=object).reshape(classes, 4, count)
    for drawn in (np.arange(count), np.random.default_rng(seed).integers(0, count, count)):
        evaluation.evalImgs = blocks[:, :, drawn].ravel().tolist()
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
        precision = evaluation.eval['precision'][:, :, :, 0, -1]
        expected = precision[precision > -1].mean()
        assert 0 < expected < 1
        assert average_precision(blocks[:, 0, drawn], evaluation.params) == pytest.approx(
            expected, abs=1e-12)


def test_interval():
    evaluation = _evaluated(0, images=20)
    ap = average_precision(np.array(evaluation.evalImgs, dtype=object).reshape(4, 4, 20)[:, 0],
                           evaluation.params)
    low, high = ap_interval(evaluation, 200)
    assert low < ap < high
    assert high - low < .4
    assert ap_interval(evaluation, 200) == (low, high)
    assert ap_interval(evaluation, 200, seed=1) != (low, high)
    few = _evaluated(0, images=5)
    assert np.diff(ap_interval(few, 200)) > high - low


def test_nothing_to_find():
    assert average_precision([[None], []], COCOeval().params) == 0
