"""Structural similarity of batches, differentiable."""
from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

__all__ = ['ssim']


def ssim(a: Tensor, b: Tensor, window: int = 7) -> Tensor:
    """Mean structural similarity (Wang et al. 2004) of two batches of images.

    Windows are squares of equal weights and variances those of the sample, the default of
    scikit-image: the result equals ``structural_similarity(..., data_range=1)``.

    Args:
        a (Tensor): (B, C, H, W), floating point, range 1.
        b (Tensor): The same shape.
        window (int): Side of a window in pixels.

    Returns:
        Tensor: A scalar, 1 for equal images.
    """
    # The constants of the paper for range 1; the sample's variance is larger than the mean square.
    c1, c2, sample = .01**2, .03**2, window**2 / (window**2 - 1)
    mean_a, mean_b, aa, bb, ab = (
        F.avg_pool2d(x, window, 1) for x in (a, b, a * a, b * b, a * b))
    var_a, var_b = sample * (aa - mean_a**2), sample * (bb - mean_b**2)
    cov = sample * (ab - mean_a * mean_b)
    return ((2 * mean_a * mean_b + c1) * (2 * cov + c2)
            / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean()
