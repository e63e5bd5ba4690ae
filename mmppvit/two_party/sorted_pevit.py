"""The arithmetic of a two-party training in one process, to compare with."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmdet.registry import MODELS, OPTIM_WRAPPERS
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmppvit.models.backbones import PEViT
from mmppvit.two_party.patch_store import cut_patches, sorted_order

__all__ = ['HalvesOptimWrapper', 'SortedPEViT']


@MODELS.register_module()
class SortedPEViT(PEViT):
    """A :class:`PEViT` that sums in the order of a host: patches sorted by their bytes, in one row.

    In exact arithmetic it is a PEViT. A two-party training with ``wire='float32'`` computes the
    same numbers to the bit, if :class:`HalvesOptimWrapper` clips. Images are whole, without padding
    of the batch.

    Args:
        mean (Sequence[float]): Of the data preprocessor.
        std (Sequence[float]): As well.
        **kwargs: As for :class:`PEViT`.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], **kwargs) -> None:
        super().__init__(**kwargs)
        self.mean, self.std = (torch.tensor(x).float().view(-1, 1, 1) for x in (mean, std))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> one (B, D, H / stride, W / stride) per output."""
        side = self.token_stride
        levels = (x.detach() * self.std + self.mean).round().to(torch.uint8)
        orders = [sorted_order(cut_patches(image, side)) for image in levels]
        rows = torch.stack([cut_patches(image, side)[order].permute(1, 2, 0, 3).flatten(2)
                            for image, order in zip(x, orders, strict=True)])
        shape = (x.shape[2] // side, x.shape[3] // side)
        outs = super().forward(rows)
        return tuple(torch.stack([y.flatten(1)[:, order.argsort()].unflatten(1, shape)
                                  for y, order in zip(out, orders, strict=True)]) for out in outs)


@OPTIM_WRAPPERS.register_module()
class HalvesOptimWrapper(OptimWrapper):
    """Clips by the norm of all gradients, summed half by half as two parties do it.

    Attributes:
        backbone (Module): Whose parameters are the other half.
    """
    backbone: nn.Module

    def _clip_grad(self) -> None:
        theirs = [p for p in self.backbone.parameters() if p.grad is not None]
        known = set(theirs)
        own = [p for group in self.optimizer.param_groups for p in group['params']
               if p.grad is not None and p not in known]
        squared = float(torch.stack([p.grad.norm() for p in theirs]).square().sum())
        total = math.hypot(float(torch.nn.utils.get_total_norm([p.grad for p in own])),
                           math.sqrt(squared))
        self.message_hub.update_scalar('train/grad_norm', total)
        clip = min(1., self.clip_grad_kwargs['max_norm'] / (total + 1e-6))
        for param in (*own, *theirs):
            param.grad.mul_(clip)
