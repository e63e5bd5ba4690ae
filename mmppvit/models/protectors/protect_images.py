"""Images through a protector, to the very 8-bit values that a file of them holds."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ['protect_batch', 'protect_image', 'round_straight_through']


class _Round(torch.autograd.Function):
    """As a function of its own, since ``x + (round(x) - x)`` misses whole numbers by an ulp."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad


def round_straight_through(x: Tensor) -> Tensor:
    """``x`` rounded to whole numbers; the gradient passes as it is (Bengio et al., 2013)."""
    return _Round.apply(x)


def protect_batch(protector: nn.Module, images: Tensor, quantize: bool = True) -> Tensor:
    """Protect images of one size as loaders give them.

    In eval mode an image is protected alone, as batches of another size may be computed in
    another order, which moves pixels by one level.

    Args:
        protector (ProtectionUNet): On the device of the images.
        images (Tensor): (B, 3, H, W), BGR, uint8 or float of range 0 to 255.
        quantize (bool): Round to 8 bit; the gradient passes straight through.

    Returns:
        Tensor: (B, 3, H, W), BGR, float32 of range 0 to 255, whole numbers if quantized.
    """
    plain = images.flip(1).float() / 255
    parts = [plain] if protector.training else plain.split(1)
    protected = torch.cat([protector.protect(part) for part in parts]).flip(1) * 255
    return round_straight_through(protected) if quantize else protected


@torch.no_grad()
def protect_image(protector: nn.Module, image: np.ndarray) -> np.ndarray:
    """Protect one image.

    Args:
        protector (ProtectionUNet): In eval mode, on any device.
        image (ndarray): (H, W, 3) uint8, BGR, as OpenCV and mmcv read it.

    Returns:
        ndarray: The protected image, (H, W, 3) uint8, BGR.

    Raises:
        ValueError: The protector is in training mode, where batch norm takes this image's own
            statistics.
        TypeError: The image is no such array.
    """
    if protector.training:
        raise ValueError('the protector is in training mode: call its eval() first')
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise TypeError(f'an image must be uint8 of (H, W, 3), got {image.dtype} of '
                        f'{image.shape}')
    batch = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    batch = batch.to(next(protector.parameters()).device)
    protected = protect_batch(protector, batch)[0].to(torch.uint8)
    return np.ascontiguousarray(protected.permute(1, 2, 0).cpu().numpy())
