"""Accuracy of a frozen classifier on protected images, in the formats they are handed over in."""
from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import torch
from torch import Tensor

from mmppvit.models.classifiers.protected_classifier import ProtectedClassifier
from mmppvit.utils.ssim import ssim

__all__ = ['WAYS', 'jpeg', 'measure']

WAYS = ('plain', 'protected, float', 'protected, 8 bit', 'protected, JPEG 90')


def jpeg(levels: Tensor, quality: int = 90) -> Tensor:
    """Compress and decompress with OpenCV's JPEG, which halves the resolution of color.

    Args:
        levels (Tensor): (B, 3, H, W), RGB, whole numbers from 0 to 255.
        quality (int): JPEG quality, up to 100.

    Returns:
        Tensor: (B, 3, H, W) float32 on the same device.
    """
    images = levels.permute(0, 2, 3, 1).flip(-1).to(torch.uint8).cpu().numpy()
    read = []
    for image in images:
        done, file = cv2.imencode('.jpg', np.ascontiguousarray(image),
                                  [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise OSError('OpenCV cannot write JPEG')
        read.append(cv2.imdecode(file, cv2.IMREAD_COLOR))
    batch = torch.from_numpy(np.stack(read)).flip(-1).permute(0, 3, 1, 2)
    return batch.float().to(levels.device)


@torch.inference_mode()
def measure(model: ProtectedClassifier, loader: Iterable[dict]) -> dict[str, float]:
    """Evaluate a trained protector.

    Args:
        model (ProtectedClassifier): The trained protector with its classifier.
        loader (Iterable[dict]): Batches of ``inputs`` and ``label``.

    Returns:
        dict[str, float]: Top-1 accuracy in percent for each of :data:`WAYS`, and ``SSIM``, the mean
        similarity of the protected 8-bit image to the plain one.
    """
    model.eval()
    hits, similarity, count = dict.fromkeys(WAYS, 0), 0., 0
    for batch in loader:
        batch = model.data_preprocessor(batch)
        plain = batch['inputs'].float()
        exact = model.protect(plain, False)
        rounded = exact.round()
        for way, seen in zip(WAYS, (plain, exact, rounded, jpeg(rounded)), strict=True):
            hits[way] += int((model.classifier(seen).argmax(1) == batch['label']).sum())
        similarity += float(ssim(rounded / 255, plain / 255)) * len(plain)
        count += len(plain)
    return {**{way: 100 * hit / count for way, hit in hits.items()}, 'SSIM': similarity / count}
