"""Classes and boxes from detection tokens."""
from __future__ import annotations

import torch
from mmdet.models.dense_heads import DETRHead
from mmdet.models.layers import MLP
from mmdet.registry import MODELS
from torch import Tensor

__all__ = ['YOLOSHead']


@MODELS.register_module()
class YOLOSHead(DETRHead):
    """YOLOS' two heads on MMDetection's DETR: matching, losses and decoding are DETRHead's.

    A three-layer MLP gives the logits of the classes and of "no object", another one the box,
    cx, cy, w, h as shares of the image (Fang et al., arXiv 2106.00666; Hao et al., arXiv
    2306.03679). There is one set of predictions, without auxiliary losses.

    Args:
        num_classes (int): Classes without "no object".
        embed_dims (int): D, channels of a detection token.
        no_object_weight (float): Weight of "no object" in the classification loss.
        **kwargs: As for DETRHead; ``loss_cls`` must be a softmax cross-entropy.
    """

    def __init__(self,
                 num_classes: int,
                 embed_dims: int,
                 no_object_weight: float = .1,
                 loss_cls: dict = dict(type='CrossEntropyLoss', loss_weight=1.),
                 **kwargs) -> None:
        if loss_cls.get('use_sigmoid'):
            raise ValueError('YOLOSHead tells "no object" by a class of its own: use_sigmoid has '
                             'to be False')
        weights = [1.] * num_classes + [no_object_weight]
        super().__init__(num_classes, embed_dims, loss_cls=dict(loss_cls, class_weight=weights),
                         **kwargs)
        self.bg_cls_weight = no_object_weight

    def _init_layers(self) -> None:
        dims = self.embed_dims
        self.class_embed = MLP(dims, dims, self.cls_out_channels, 3)
        self.bbox_embed = MLP(dims, dims, 4, 3)

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, Tensor]:
        """(1, B, Q, D) -> logits (1, B, Q, num_classes + 1), boxes (1, B, Q, 4), both float32."""
        with torch.autocast(hidden_states.device.type, enabled=False):
            hidden_states = hidden_states.float()  # half precision is too coarse for boxes
            return self.class_embed(hidden_states), self.bbox_embed(hidden_states).sigmoid()
