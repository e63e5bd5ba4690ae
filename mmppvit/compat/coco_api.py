"""pycocotools that gives the AP which the boxes deserve, through MMDetection's ``COCO``.

``CocoDataset`` and ``CocoMetric`` read their jsons with it, the metric by itself. Upstream:

- an annotation of id 0 counts as never found (cocodataset/cocoapi #572);
- jsons without ``info`` end in a KeyError in pycocotools 2.0.9 and 2.0.10 (ppwwyyxx/cocoapi #63);
- jsons without ``area`` or ``iscrowd`` end in a KeyError after the first epoch (mmdetection #804);
- a byte order mark, or UTF-16, ends in a UnicodeDecodeError.

What :func:`mmppvit.annotations.check_coco` corrects is corrected; what it refuses is left to
MMDetection, with a warning: ``CheckedCocoDataset`` is there to stop at it.
"""
from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path

from mmdet.datasets.api_wrappers.coco_api import COCO, COCOPanoptic
from mmengine.logging import print_log

from mmppvit.annotations import check_coco
from mmppvit.annotations.json_text import parse_json

__all__ = ['index_coco']

_stock_init = COCO.__init__


def index_coco(data: dict) -> COCO:
    """MMDetection's ``COCO`` of a data set that is in memory already, and checked."""
    coco = COCO()
    _index(coco, data)
    return coco


def _index(coco: COCO, data: dict) -> None:
    coco.dataset = data
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        coco.createIndex()
    coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs


def _checked_init(self: COCO, annotation_file: str | Path | None = None) -> None:
    if annotation_file is None or isinstance(self, COCOPanoptic):
        _stock_init(self, annotation_file)
        return
    try:
        data, report = check_coco(parse_json(Path(annotation_file).read_bytes()),
                                  str(annotation_file))
    except (OSError, ValueError):
        _stock_init(self, annotation_file)  # says what is wrong
        return
    if report.refused:
        print_log(f'{report.error()}. CocoDataset and CocoMetric use it all the same',
                  logger='current', level=logging.WARNING)
        _stock_init(self, annotation_file)
        return
    _stock_init(self)
    _index(self, data)


if _stock_init.__module__ != __name__:  # once, also if this module is loaded again
    COCO.__init__ = _checked_init
