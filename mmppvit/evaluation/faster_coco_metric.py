"""COCO metrics whose matching runs in C++, through ``faster-coco-eval`` where it is installed."""
from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.evaluation.metrics import coco_metric
from mmdet.registry import METRICS
from pycocotools.cocoeval import COCOeval

try:
    from faster_coco_eval import COCOeval_faster
except ImportError:
    COCOeval_faster = None

__all__ = ['FasterCocoMetric']

_LOCK = threading.Lock()


@METRICS.register_module()
class FasterCocoMetric(CocoMetric):
    """``CocoMetric`` with the same numbers in less time.

    Boxes are matched by ``faster-coco-eval`` (``pip install mmppvit[fast]``); without it, by
    pycocotools. Predictions are not written to a temporary json and parsed again, unless
    ``outfile_prefix`` asks for a file. Arguments are those of
    :class:`mmdet.evaluation.CocoMetric`.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        with _replaced():
            return super().compute_metrics(results)

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict:
        """Predictions as pycocotools takes them; as files where ``outfile_prefix`` was given."""
        if self.outfile_prefix is not None or self.format_only:
            return super().results2json(results, outfile_prefix)
        boxes = [item for index, result in enumerate(results) for item in self._items(
            result, index, result['scores'])]
        found = dict(bbox=boxes, proposal=boxes)
        if 'masks' in results[0]:
            found['segm'] = [
                item | dict(segmentation=_text(mask)) for index, result in enumerate(results)
                for item, mask in zip(self._items(result, index, result.get(
                    'mask_scores', result['scores'])), result['masks'], strict=True)]
        return found

    def _items(self, result: dict, index: int, scores: np.ndarray) -> list[dict]:
        boxes = np.array(result['bboxes'], np.float64).reshape(-1, 4)  # as Python subtracts
        boxes[:, 2:] -= boxes[:, :2]
        image_id = result.get('img_id', index)
        return [dict(image_id=image_id, bbox=box, score=score, category_id=self.cat_ids[label])
                for box, score, label in zip(boxes.tolist(), np.asarray(scores).tolist(),
                                             np.asarray(result['labels']).tolist(), strict=True)]


def _text(mask: dict) -> dict:
    counts = mask['counts']
    return dict(mask, counts=counts.decode() if isinstance(counts, bytes) else counts)


@contextmanager
def _replaced() -> Iterator[None]:
    """``CocoMetric.compute_metrics`` names its evaluator and its reader of json as globals."""
    load = coco_metric.load

    def read(given: str | list) -> list:
        return [dict(item) for item in given] if isinstance(given, list) else load(given)

    with _LOCK, patch.object(coco_metric, 'load', read):
        if COCOeval_faster is None:
            yield
            return
        with patch.object(coco_metric, 'COCOeval', _CppCOCOeval), \
                patch.object(coco_metric, 'COCOevalMP', _CppCOCOeval):
            yield


class _CppCOCOeval(COCOeval_faster or object):
    """Matching in C++, and pycocotools' own summary of it: its order of ``stats`` is MMDet's."""

    summarize = COCOeval.summarize
