"""Results drawn on sealed images."""
from __future__ import annotations

import numpy as np
import torch
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.visualization import DetLocalVisualizer

from mmppvit.encryption import unshuffle_patches

__all__ = ['SealedDetLocalVisualizer']


@VISUALIZERS.register_module()
class SealedDetLocalVisualizer(DetLocalVisualizer):
    """``DetLocalVisualizer`` for images that are smaller than the frame of their boxes.

    Boxes and masks are in the plain frame. Where the image that is shown is a sealed one, they
    are drawn in its frame; where it is shuffled and the results carry ``patch_order``, its layout
    is restored for the drawing. Images in the plain frame are drawn as ever.
    """

    def add_datasample(self, name: str, image: np.ndarray,
                       data_sample: DetDataSample | None = None, **kwargs) -> None:
        """As ``DetLocalVisualizer``'s; arguments after ``data_sample`` by name."""
        sealed = None if data_sample is None else data_sample.get('sealed')
        if sealed is not None and image.shape[:2] == tuple(data_sample.img_shape):
            image, data_sample = _in_sealed_frame(image, data_sample, sealed)
        super().add_datasample(name, image, data_sample, **kwargs)


def _in_sealed_frame(image: np.ndarray, sample: DetDataSample,
                     sealed: dict) -> tuple[np.ndarray, DetDataSample]:
    sample = sample.cpu().clone()
    order = sample.get('patch_order')
    if order is not None:
        image = unshuffle_patches(image, sealed['patch_size'] // sealed['grid'], order)
    for name in ('gt_instances', 'pred_instances'):
        instances = sample.get(name)
        if instances is None or len(instances) == 0:
            continue
        instances.bboxes = instances.bboxes * instances.bboxes.new_tensor(
            sample.scale_factor).repeat(2)
        if 'masks' in instances:
            instances.masks = _shrink(instances.masks, sealed, image.shape[:2])
    return image, sample


def _shrink(masks, sealed: dict, shape: tuple[int, int]) -> torch.Tensor:
    """(N, H, W) bool: masks of the plain frame in that of a sealed image of ``shape``."""
    masks = masks.to_ndarray() if hasattr(masks, 'to_ndarray') else masks.numpy()
    bitmaps = BitmapMasks(masks.astype(np.uint8), *masks.shape[1:])
    padded = tuple(length * sealed['grid'] for length in shape)
    bitmaps = bitmaps.resize(sealed['scaled_shape']).pad(padded).resize(shape)
    return torch.from_numpy(bitmaps.masks.astype(bool))
