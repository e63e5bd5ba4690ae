"""Kernels of patch embeddings: of another patch size, and for mixed images."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmppvit.encryption import check_grid
from mmppvit.models.checkpoints.kernel_resampling import DIRECT, resample_kernel

__all__ = ['KERNEL', 'Embedding', 'mix_kernel']

KERNEL = 'patch_embed.proj.weight'


def mix_kernel(kernel: Tensor, grid: int) -> Tensor:
    """Kernel for mixed images from one for plain images: the sum of its sub-kernels.

    ``sum_ab <K_ab, x_ab>`` with every sub-patch ``x_ab`` at its mean ``m`` is
    ``<sum_ab K_ab, m>``, the best that can be said of it from the mixed image. As the embedding
    is linear, it is the mean over the sub-patches ``x_cd`` of ``<sum_ab K_ab, x_cd>``, or
    ``grid ** 2`` times that of the mean sub-kernel.

    Args:
        kernel (Tensor): (D, C, P, P).
        grid (int): Sub-patches per side.

    Returns:
        Tensor: (D, C, P / grid, P / grid).
    """
    dims, channels, height, width = kernel.shape
    return kernel.reshape(dims, channels, grid, height // grid, grid, width // grid).sum((2, 4))


@dataclass(frozen=True)
class Embedding:
    """A patch embedding to make: its patch size, grid and kind.

    ``resampling`` is how kernels of another patch size become its own: see
    :func:`~mmppvit.models.checkpoints.kernel_resampling.resample_kernel`. For mixed images the
    sub-kernels are summed afterwards, which is exact where sub-patches are equal; 'direct' takes a
    mixed image for a small plain one in place of that, so that the kernel keeps all that it looks
    for, and is exact nowhere.
    """
    patch_size: int = 16
    grid: int = 2
    nonlinear: bool = False
    resampling: str = 'pinv'

    def __post_init__(self) -> None:
        check_grid(self.patch_size, self.grid)

    @property
    def side(self) -> int:
        """Of the kernel."""
        return self.patch_size // self.grid

    def shapes(self, dims: int, channels: int) -> dict[str, torch.Size]:
        """Names and shapes of its tensors, as :class:`MixedPatchEmbed` has them."""
        shapes = {KERNEL: (dims, channels, self.side, self.side), 'patch_embed.proj.bias': (dims, )}
        if self.nonlinear:
            shapes |= {'patch_embed.mixer.1.weight': (dims, dims, 1, 1),
                       'patch_embed.mixer.1.bias': (dims, )}
        return {name: torch.Size(shape) for name, shape in shapes.items()}

    def must_adapt(self, kernel: Tensor, plain: bool) -> bool:
        """Whether ``kernel`` is for plain images and this is not, or of another patch size.

        A kernel of 8x8 may be for plain patches of 8 or for mixed ones of 16. Where it is not
        known to be ``plain``, only one of the whole patch surely is.
        """
        whole = tuple(kernel.shape[2:]) == (self.patch_size, self.patch_size)
        return self.grid > 1 or not whole if plain else self.grid > 1 and whole

    def adapt(self, kernel: Tensor) -> tuple[Tensor, str]:
        """A plain kernel (D, C, p, p) as (D, C, side, side), and what was done."""
        steps, size = [f'{tuple(kernel.shape[2:])}'], self.patch_size
        if self.resampling == DIRECT and self.grid > 1:
            return (resample_kernel(kernel, self.side, DIRECT),
                    f'{steps[0]}, resampled to ({self.side}, {self.side}) as for small images')
        if tuple(kernel.shape[2:]) != (size, size):
            kernel = resample_kernel(kernel, size, self.resampling)
            steps.append(f'resampled to ({size}, {size}) by {self.resampling}')
        if self.grid > 1:  # in half, each sum would be rounded
            kernel = mix_kernel(kernel.to(torch.promote_types(kernel.dtype, torch.float32)),
                                self.grid)
            steps.append(f'summed over {self.grid}x{self.grid} sub-kernels')
        return kernel, ', '.join(steps)
