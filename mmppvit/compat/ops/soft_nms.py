"""Soft non-maximum suppression."""
import torch
from torch import Tensor

from .nms import box_overlaps

__all__ = ['softnms']


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float, sigma: float,
            min_score: float, method: int, offset: int) -> Tensor:
    """``mmcv._ext.softnms``: lower the scores of boxes which overlap a better one.

    Args:
        boxes (Tensor): (N, 4) corners on the CPU.
        scores (Tensor): (N, ).
        dets (Tensor): (N, 5); its first K rows are overwritten with the boxes and new scores.
        iou_threshold (float): From this overlap on, methods 0 and 1 act.
        sigma (float): The width of method 2.
        min_score (float): Boxes whose score falls below it are dropped.
        method (int): 0 drops, 1 multiplies by ``1 - iou``, 2 by ``exp(-iou**2 / sigma)``.
        offset (int): Added to the sides of boxes and intersections; 0 or 1.

    Returns:
        Tensor: (K, ) int64 indices of the boxes that remain, in the order of ``dets``.
    """
    left = torch.arange(len(boxes))
    scores, kept = scores.clone(), []
    while len(left):
        best = left[scores[left].argmax()]
        dets[len(kept), :4], dets[len(kept), 4] = boxes[best], scores[best]
        kept.append(best)
        left = left[left != best]
        iou = box_overlaps(boxes[best][None], boxes[left], offset)[0]
        scores[left] *= _decay(iou, iou_threshold, sigma, method)
        left = left[scores[left] >= min_score]
    return torch.stack(kept) if kept else left


def _decay(iou: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if method == 2:
        return torch.exp(-iou * iou / sigma)
    lowered = torch.zeros_like(iou) if method == 0 else 1 - iou
    return torch.where(iou >= iou_threshold, lowered, torch.ones_like(iou))
