"""Masks of objects that lie beside the plain image, in the padding of its last patches.

Images are padded to whole patches before they are encrypted, and MMDetection clips boxes to what
the model sees. If all boxes of an image begin beyond the plain image, MMDetection 3.3 pastes their
masks into a range that ends before it starts, which PyTorch refuses.
"""
from __future__ import annotations

from types import ModuleType

import torch

__all__ = ['paste_beside_the_image']


def paste_beside_the_image(module: ModuleType) -> None:
    """Wrap ``_do_paste_mask`` of ``mmdet.models.roi_heads.mask_heads.fcn_mask_head``; once."""
    stock = module._do_paste_mask
    if hasattr(stock, 'stock'):
        return

    def _do_paste_mask(masks, boxes, img_h, img_w, skip_empty=True):
        # Such a box has no pixel within the image, wherever beyond its border it begins.
        begins = boxes[:, :2].minimum(boxes.new_tensor([img_w, img_h]))
        return stock(masks, torch.cat([begins, boxes[:, 2:]], 1), img_h, img_w, skip_empty)

    _do_paste_mask.stock = stock
    module._do_paste_mask = _do_paste_mask
