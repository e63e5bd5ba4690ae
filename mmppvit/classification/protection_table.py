"""What a frozen classifier makes of protected images, the way they are really handed over."""
from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import torch
from torch import Tensor

from mmppvit.attacks.networks.restoration import ssim
from mmppvit.models.classifiers.protected_classifier import ProtectedClassifier

__all__ = ['WAYS', 'jpeg', 'measure']

WAYS = ('plain', 'protected, float', 'protected, 8 bit', 'protected, JPEG 90')


def jpeg(levels: Tensor, quality: int = 90) -> Tensor:
    """Through JPEG files as OpenCV writes them, color at half the resolution.

    Args:
        levels (Tensor): (B, 3, H, W), RGB, whole numbers from 0 to 255.
        quality (int): Of the files, up to 100.

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
    """Accuracy in percent for each of :data:`WAYS`, and the mean SSIM of 8 bit to plain.

    Args:
        model (ProtectedClassifier): Trained.
        loader (Iterable[dict]): Batches of ``inputs`` and ``label``.
    """
    model.eval()
    hits, likeness, count = dict.fromkeys(WAYS, 0), 0., 0
    for batch in loader:
        batch = model.data_preprocessor(batch)
        plain = batch['inputs'].float()
        exact = model.protect(plain, False)
        rounded = exact.round()
        for way, seen in zip(WAYS, (plain, exact, rounded, jpeg(rounded)), strict=True):
            hits[way] += int((model.classifier(seen).argmax(1) == batch['label']).sum())
        likeness += float(ssim(rounded / 255, plain / 255)) * len(plain)
        count += len(plain)
    return {**{way: 100 * hit / count for way, hit in hits.items()}, 'SSIM': likeness / count}
