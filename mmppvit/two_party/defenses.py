"""What the owner does to the gradients of tokens before the host gets them."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ['GradientDefense']


class GradientDefense:
    """Change the gradients of tokens, so that they say less about neighbors, objects and classes.

    Steps in this order: sum over random groups, drop, clip, noise. All zero: nothing is changed.

    Args:
        group (int): Tokens of one image are put into random groups of this size, new ones at
            each step, and every token gets its group's mean.
        drop (float): Share of the tokens whose gradient is set to zero, at random.
        clip (float): Largest norm of a token's gradient, as a multiple of the batch's median
            norm of nonzero ones; with ``absolute=True`` as it is.
        noise (float): Standard deviation of Gaussian noise per entry, as a multiple of the
            clipping norm / sqrt(D): 1 adds as much norm as the largest gradient has.
        absolute (bool): See ``clip``; needed for a statement of differential privacy, as a
            median depends on the data.
        seed (int, optional): For repeatable experiments; default: from the operating system.
    """

    def __init__(self, group: int = 0, drop: float = 0., clip: float = 0., noise: float = 0.,
                 absolute: bool = False, seed: int | None = None) -> None:
        if group < 0 or not 0 <= drop < 1 or clip < 0 or noise < 0:
            raise ValueError(f'group={group}, drop={drop}, clip={clip}, noise={noise}: none may '
                             'be negative, and drop must be below 1')
        if noise and not clip:
            raise ValueError('noise needs clip, which it is a multiple of')
        self.group, self.drop, self.clip, self.noise = group, drop, clip, noise
        self.absolute = absolute
        self._random = torch.Generator()
        self._random.manual_seed(seed) if seed is not None else self._random.seed()

    def __deepcopy__(self, memo: dict) -> GradientDefense:
        return self

    def __call__(self, rows: Tensor, images: Sequence[Tensor]) -> Tensor:
        """(T, D) float32, the tokens of all images one after the other -> (T, D)."""
        rows = rows.cpu()
        if self.group > 1:
            rows = torch.cat([self._grouped(part) for part in rows.split(
                [len(image) for image in images])])
        if self.drop:
            kept = torch.rand(len(rows), 1, generator=self._random) >= self.drop
            rows = rows * kept / (1 - self.drop)
        if not self.clip:
            return rows
        norms = rows.norm(dim=1, keepdim=True)
        limit = self.clip
        if not self.absolute:
            nonzero = norms[norms > 0]
            limit = self.clip * float(nonzero.median()) if len(nonzero) else 0.
        rows = rows * (limit / norms.clamp_min(1e-30)).clamp(max=1)
        scale = self.noise * limit / math.sqrt(rows.shape[1])
        return rows + scale * torch.randn(rows.shape, generator=self._random)

    def _grouped(self, rows: Tensor) -> Tensor:
        order = torch.randperm(len(rows), generator=self._random)
        out = torch.empty_like(rows)
        for members in order.split(self.group):
            out[members] = rows[members].mean(0)
        return out
