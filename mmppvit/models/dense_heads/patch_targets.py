"""What the patches of an image show, as targets."""
from __future__ import annotations

import torch
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh
from torch import Tensor

__all__ = ['patch_targets']


def patch_targets(bboxes: Tensor, labels: Tensor, cells: tuple[int, int], stride: int,
                  background: int) -> tuple[Tensor, Tensor]:
    """For every patch the object that its middle lies in, of several the smallest.

    Args:
        bboxes (Tensor): (G, 4), x1, y1, x2, y2 in pixels.
        labels (Tensor): (G, ), int64.
        cells (tuple[int, int]): Rows and columns of patches.
        stride (int): Side of a patch in pixels.
        background (int): Label where there is no object.

    Returns:
        tuple[Tensor, Tensor]: int64 (N, ) labels and (N, 4) boxes, cx, cy, w, h in pixels, 0 for
        the background, row by row.
    """
    rows, columns = cells
    y = (torch.arange(rows, device=bboxes.device) + .5) * stride
    x = (torch.arange(columns, device=bboxes.device) + .5) * stride
    middles = torch.stack((x.repeat(rows), y.repeat_interleave(columns)), dim=1)[:, None]
    inside = ((middles > bboxes[:, :2]) & (middles < bboxes[:, 2:])).all(-1)
    sizes = (bboxes[:, 2:] - bboxes[:, :2]).prod(-1)
    found = labels.new_full((rows * columns, ), background)
    boxes = bboxes.new_zeros((rows * columns, 4))
    if len(bboxes):
        smallest, index = torch.where(inside, sizes, torch.inf).min(dim=1)
        shown = smallest < torch.inf
        found[shown] = labels[index[shown]]
        boxes[shown] = bbox_xyxy_to_cxcywh(bboxes)[index[shown]]
    return found, boxes
