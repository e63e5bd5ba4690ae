"""Predictions in a file, as MMDetection's analysis tools read them."""
from __future__ import annotations

from mmdet.evaluation import DumpDetResults

__all__ = ['DumpDetResultsLessOrder']


class DumpDetResultsLessOrder(DumpDetResults):
    """Without the order of shuffled patches, which is for the holder of the key alone."""

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        super().process(data_batch, [
            {key: value for key, value in sample.items() if key != 'patch_order'}
            for sample in data_samples])
