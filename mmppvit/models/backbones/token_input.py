"""A backbone that ran elsewhere."""
from __future__ import annotations

from collections.abc import Sequence

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

__all__ = ['TokenInput']


@MODELS.register_module()
class TokenInput(BaseModule):
    """Stands where the backbone stood in a detector that is fed with the backbone's maps.

    Args:
        token_stride (int): Pixels of the image per cell of the maps, the stride of the backbone
            that made them.
        init_cfg (dict, optional): Unused; there are no weights.
    """

    def __init__(self, token_stride: int, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.token_stride = token_stride

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps of (B, D, H, W) -> the same maps."""
        if isinstance(maps, Tensor):
            raise TypeError(f'TokenInput takes a tuple of maps, not a tensor of shape '
                            f'{tuple(maps.shape)}: run images through the backbone half first')
        return tuple(maps)
