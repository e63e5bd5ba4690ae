"""Non-maximum suppression."""
import torch
from torch import Tensor

from ..torchvision_schemas import has_kernel
from .precision import exact, without_autocast

__all__ = ['box_overlaps', 'nms', 'plain_nms']

# Rows and columns of one table of overlaps: 4 MiB in float32, whatever the number of boxes.
BLOCK, COLUMNS = 1024, 1024


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """``mmcv._ext.nms``: see :func:`plain_nms`."""
    if offset == 0 and has_kernel('nms', boxes.device):
        return torch.ops.torchvision.nms(
            exact(boxes), scores.to(exact(boxes).dtype), float(iou_threshold))
    return plain_nms(boxes, scores, iou_threshold, offset)


@without_autocast
def plain_nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Keep the boxes that no kept box of higher score overlaps by more than a threshold.

    Args:
        boxes (Tensor): (N, 4) corners, floating point.
        scores (Tensor): (N, ). Of equal scores the earlier box counts as the higher.
        iou_threshold (float): The largest overlap that is tolerated.
        offset (int): Added to the sides of boxes and intersections; 0 or 1.

    Returns:
        Tensor: (K, ) int64 indices of the kept boxes, the highest score first.
    """
    order = scores.sort(descending=True, stable=True)[1]
    boxes = exact(boxes)[order]
    kept = [order[:0]]
    while len(boxes):
        head, boxes = boxes[:BLOCK], boxes[BLOCK:]
        survives = _greedy(box_overlaps(head, head, offset) > iou_threshold)
        kept.append(order[:BLOCK][survives])
        head, order = head[survives], order[BLOCK:]
        free = [~(box_overlaps(head, part, offset) > iou_threshold).any(0)
                for part in boxes.split(COLUMNS) if len(part)]
        if free:
            free = torch.cat(free)
            boxes, order = boxes[free], order[free]
    return torch.cat(kept)


def _greedy(conflict: Tensor) -> Tensor:
    """The greedy choice among sorted boxes, (B, B) bool -> (B, ) bool.

    A box stays if no box before it that stays conflicts with it. Asking this of all boxes at once,
    again and again, settles at least one more box each time and ends in the only fixed point.
    """
    conflict = conflict.triu(diagonal=1).float()
    keep = conflict.new_ones(len(conflict))
    while True:
        settled = ((keep @ conflict) == 0).float()
        if torch.equal(settled, keep):
            return keep.bool()
        keep = settled


def box_overlaps(first: Tensor, second: Tensor, offset: int = 0) -> Tensor:
    """Intersection over union, (M, 4) and (N, 4) -> (M, N); NaN between two boxes of area 0."""
    # Coordinate by coordinate and in place: the tables stay in the cache.
    rows, columns = first.t()[:, :, None], second.t().contiguous()[:, None]
    inter = _shared(rows[0], rows[2], columns[0], columns[2], offset)
    inter *= _shared(rows[1], rows[3], columns[1], columns[3], offset)
    union = _area(rows, offset) + _area(columns, offset)
    union -= inter
    return inter.div_(union)


def _shared(low_a: Tensor, high_a: Tensor, low_b: Tensor, high_b: Tensor, offset: int) -> Tensor:
    shared = torch.minimum(high_a, high_b)
    shared -= torch.maximum(low_a, low_b)
    return shared.add_(offset).clamp_(min=0)


def _area(box: Tensor, offset: int) -> Tensor:
    return (box[2] - box[0] + offset) * (box[3] - box[1] + offset)
