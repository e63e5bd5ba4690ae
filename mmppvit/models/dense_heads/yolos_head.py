"""Classes and boxes from detection tokens."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.dense_heads import DETRHead
from mmdet.models.layers import MLP
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmdet.utils import reduce_mean
from torch import Tensor

from mmppvit.models.dense_heads.patch_targets import patch_targets

__all__ = ['YOLOSHead']


@MODELS.register_module()
class YOLOSHead(DETRHead):
    """YOLOS' two heads on MMDetection's DETR: matching, losses and decoding are DETRHead's.

    A three-layer MLP gives the logits of the classes and of "no object", another one the box,
    cx, cy, w, h as shares of the image (Fang et al., arXiv 2106.00666; Hao et al., arXiv
    2306.03679). There is one set of predictions, not one for every block.

    Args:
        num_classes (int): Classes without "no object".
        embed_dims (int): D, channels of a detection token.
        no_object_weight (float): Weight of "no object" in the classification loss.
        patch_loss_weight (float): In training, let the same two MLPs also tell from every patch's
            token what the patch shows, with losses of this weight beside those of the detection
            tokens. The released detector has no such thing (0). Trained from scratch, detection
            tokens find nothing worth attending to for very long without it.
        **kwargs: As for DETRHead; ``loss_cls`` must be a softmax cross-entropy.
    """

    def __init__(self,
                 num_classes: int,
                 embed_dims: int,
                 no_object_weight: float = .1,
                 patch_loss_weight: float = 0.,
                 loss_cls: dict = dict(type='CrossEntropyLoss', loss_weight=1.),
                 **kwargs) -> None:
        if loss_cls.get('use_sigmoid'):
            raise ValueError('YOLOSHead tells "no object" by a class of its own: use_sigmoid has '
                             'to be False')
        weights = [1.] * num_classes + [no_object_weight]
        super().__init__(num_classes, embed_dims, loss_cls=dict(loss_cls, class_weight=weights),
                         **kwargs)
        self.bg_cls_weight = no_object_weight
        self.patch_loss_weight = patch_loss_weight

    def _init_layers(self) -> None:
        dims = self.embed_dims
        self.class_embed = MLP(dims, dims, self.cls_out_channels, 3)
        self.bbox_embed = MLP(dims, dims, 4, 3)

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, Tensor]:
        """(1, B, Q, D) -> logits (1, B, Q, num_classes + 1), boxes (1, B, Q, 4), both float32."""
        with torch.autocast(hidden_states.device.type, enabled=False):
            hidden_states = hidden_states.float()  # half precision is too coarse for boxes
            return self.class_embed(hidden_states), self.bbox_embed(hidden_states).sigmoid()

    def loss(self, hidden_states: Tensor, batch_data_samples: SampleList,
             patches: Sequence[Tensor] = (), stride: int = 0) -> dict:
        """DETRHead's losses, and with ``patch_loss_weight`` those of the patches.

        Args:
            hidden_states (Tensor): (1, B, Q, D), detection tokens.
            batch_data_samples (SampleList): With the objects, in pixels of the images fed.
            patches (Sequence[Tensor]): (h, w, D), the patch tokens of each image.
            stride (int): Side of a patch in pixels of the images fed.

        Returns:
            dict[str, Tensor]: loss_cls, loss_bbox, loss_iou, and the same with 'patch_' before.
        """
        losses = super().loss(hidden_states, batch_data_samples)
        if self.patch_loss_weight:
            values = self._patch_losses(batch_data_samples, patches, stride)
            for name, value in zip(('loss_cls', 'loss_bbox', 'loss_iou'), values, strict=True):
                losses[f'patch_{name}'] = self.patch_loss_weight * value
        return losses

    def _patch_losses(self, samples: SampleList, patches: Sequence[Tensor], stride: int
                      ) -> tuple[Tensor, Tensor, Tensor]:
        labels, targets, sizes = [], [], []
        for tokens, sample in zip(patches, samples, strict=True):
            objects = sample.gt_instances
            label, box = patch_targets(objects.bboxes, objects.labels, tokens.shape[:2], stride,
                                       self.num_classes)
            height, width = sample.img_shape[:2]
            labels.append(label)
            targets.append(box)
            sizes.append(box.new_tensor([width, height, width, height]).expand_as(box))
        labels, targets, sizes = torch.cat(labels), torch.cat(targets), torch.cat(sizes)
        logits, boxes = self(torch.cat([tokens.flatten(0, 1) for tokens in patches])[None])
        shown = labels < self.num_classes
        # Means over the processes, as DETRHead takes them, of the same kinds of terms.
        count = shown.sum()
        weighed = count + self.bg_cls_weight * (~shown).sum()
        count, weighed = (reduce_mean(n.float()).clamp(min=1).item() for n in (count, weighed))
        loss_cls = self.loss_cls(logits[0], labels, avg_factor=weighed)
        boxes, targets, sizes = boxes[0][shown], targets[shown], sizes[shown]
        loss_bbox = self.loss_bbox(boxes, targets / sizes, avg_factor=count)
        loss_iou = self.loss_iou(bbox_cxcywh_to_xyxy(boxes) * sizes, bbox_cxcywh_to_xyxy(targets),
                                 avg_factor=count)
        return loss_cls, loss_bbox, loss_iou
