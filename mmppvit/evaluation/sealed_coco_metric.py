"""COCO metrics of sealed data sets, whose boxes only the key may open."""
from __future__ import annotations

import os

from mmdet.registry import METRICS

from mmppvit.annotations import check_coco
from mmppvit.compat.coco_api import index_coco
from mmppvit.datasets.transforms.shuffle_transforms import load_key
from mmppvit.evaluation.faster_coco_metric import FasterCocoMetric
from mmppvit.sealed import Manifest

__all__ = ['SealedCocoMetric']


@METRICS.register_module()
class SealedCocoMetric(FasterCocoMetric):
    """``FasterCocoMetric`` with the boxes of a sealed data set, which never touch the disk.

    Args:
        sealed (str): Folder of the sealed data set, or its URL; ``backend_args`` as for
            ``SealedCocoDataset``.
        key_file (str, optional): Of its key; needed where metadata is sealed.
        **kwargs: As for :class:`mmdet.evaluation.CocoMetric`, but ``ann_file``.

    Raises:
        ManifestError: It is no sealed data set, was changed, or needs the key.
        ValueError: ``ann_file`` is given, or the json cannot be used.
    """

    def __init__(self, *args, sealed: str = '', key_file: str | None = None, **kwargs) -> None:
        if args or kwargs.get('ann_file') is not None:
            raise ValueError('a SealedCocoMetric reads the boxes of the sealed data set: leave '
                             'ann_file out and give sealed')
        super().__init__(**kwargs)
        manifest = Manifest.load(sealed, kwargs.get('backend_args'))
        if key_file is not None:
            manifest.check_key(load_key(key_file))
        data, report = check_coco(manifest.read_annotations(), os.path.join(sealed, 'the json'))
        if report.refused:
            raise ValueError(report.error())
        self._coco_api = index_coco(data)
