"""Accuracy of classifiers."""
from __future__ import annotations

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

__all__ = ['HeldOutLoss', 'TopAccuracy']


@METRICS.register_module()
class TopAccuracy(BaseMetric):
    """Share of images, in percent, whose class is the first guess (``accuracy/top1``), and with
    more than five classes one of the first five (``accuracy/top5``)."""

    default_prefix = 'accuracy'

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Take ``label`` and ``ranked``, the best classes first, of every image."""
        for sample in data_samples:
            hits = sample['ranked'].eq(sample['label']).tolist()
            self.results.append((hits[0], any(hits), sample['num_classes'] > 5))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        first, among, many = zip(*results, strict=True)
        figures = dict(top1=100 * sum(first) / len(first))
        if many[0]:
            figures['top5'] = 100 * sum(among) / len(among)
        return figures


@METRICS.register_module()
class HeldOutLoss(BaseMetric):
    """Mean over batches of a classifier's loss (``held_out/loss``), to choose an epoch by.

    A last batch that is smaller counts as much as any other, as in the released code of Ito et
    al. (IEEE Access 2021).
    """

    default_prefix = 'held_out'

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Take ``loss`` of every image of the batch."""
        losses = [sample['loss'] for sample in data_samples]
        self.results.append(sum(losses) / len(losses))

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return dict(loss=sum(results) / len(results))
