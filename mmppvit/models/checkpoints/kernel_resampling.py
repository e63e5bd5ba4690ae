"""Kernels of patch embeddings for patches of another size."""
from __future__ import annotations

import torch
from timm.layers import resample_patch_embed
from torch import Tensor
from torch.nn import functional

__all__ = ['DIRECT', 'RESAMPLINGS', 'resample_kernel']

DIRECT = 'direct'
RESAMPLINGS = ('pinv', 'bicubic', DIRECT)


def resample_kernel(kernel: Tensor, side: int, how: str = 'pinv') -> Tensor:
    """Make a kernel one for patches of another size.

    With ``B`` the matrix of bicubic resizing (antialiased) from old to new patches:

    - 'pinv' is the PI-resize of FlexiViT (Beyer et al., CVPR 2023, arXiv 2212.08013, eq. 3 and 4):
      ``pinv(B^T) w``, which minimizes the mean of ``(<x, w> - <B x, w_new>)^2`` over patches ``x``
      of white noise. For larger patches the minimum is 0: tokens of enlarged images are the same.
    - 'direct' is the same; where kernels are made for mixed images, it resamples to the side of a
      sub-patch at once: see :class:`~mmppvit.models.checkpoints.embedding.Embedding`.
    - 'bicubic' is ``B w (p / side)^2``: the kernel itself resized as an image, and scaled by the
      area, so that its sum, what it makes of a uniform patch, stays about the same.

    Args:
        kernel (Tensor): (D, C, p, p), of any floating type.
        side (int): The new patch size in pixels.
        how (str): One of :data:`RESAMPLINGS`.

    Returns:
        Tensor: (D, C, side, side), float32 unless ``kernel`` is float64; ``kernel`` itself if it
        has that size.

    Raises:
        ValueError: ``how`` is unknown.
    """
    if how not in RESAMPLINGS:
        raise ValueError(f'no kernel resampling {how!r}: choose one of {", ".join(RESAMPLINGS)}')
    old = tuple(kernel.shape[2:])
    if old == (side, side):
        return kernel
    # Not in half: the result would be rounded once more than the weights are stored.
    kernel = kernel.to(torch.promote_types(kernel.dtype, torch.float32))
    if how != 'bicubic':
        return resample_patch_embed(kernel, [side, side])
    resized = functional.interpolate(kernel, (side, side), mode='bicubic', antialias=True,
                                     align_corners=False)
    return resized * (old[0] * old[1] / side**2)
