"""COCO's 80 classes among the 91 numbers that DETR and YOLOS have logits for."""
from __future__ import annotations

from torch import Tensor

__all__ = ['COCO_LOGITS', 'coco80_rows']

COCO_LOGITS = 92  # one for each number from 0 to 90, and "no object"
_UNUSED = {0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # categories that the data set never had
_ROWS = [number for number in range(COCO_LOGITS) if number not in _UNUSED]


def coco80_rows(value: Tensor) -> Tensor:
    """(92, ...) -> (81, ...): the 80 classes in MMDetection's order, and "no object" last.

    Raises:
        ValueError: There are not 92 rows.
    """
    if len(value) != COCO_LOGITS:
        raise ValueError(f'the class head has {len(value)} logits and not the {COCO_LOGITS} of a '
                         'model of COCO: --classes keep')
    return value[_ROWS]
