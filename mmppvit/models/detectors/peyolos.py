"""PEYOLOS, a detector that is nothing but a vision transformer, on mixed images."""
from __future__ import annotations

from mmdet.models.detectors.single_stage import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.structures import OptSampleList, SampleList
from torch import Tensor

__all__ = ['PEYOLOS']


@MODELS.register_module()
class PEYOLOS(SingleStageDetector):
    """Detection tokens of a :class:`YOLOSViT`, read by a :class:`YOLOSHead`.

    The detector of Hao et al. (arXiv 2306.03679): YOLOS on images whose sub-patches are mixed.
    There is no neck and no NMS. The result for an image does not depend on what it shares its
    batch with: ``img_shape`` of the data samples says what is image and what is padding.

    Args:
        backbone (dict): A YOLOSViT.
        bbox_head (dict): A YOLOSHead.
        train_cfg, test_cfg, data_preprocessor, init_cfg: As for every one-stage detector.
    """

    def __init__(self,
                 backbone: dict,
                 bbox_head: dict,
                 train_cfg: dict | None = None,
                 test_cfg: dict | None = None,
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(backbone, bbox_head=bbox_head, train_cfg=train_cfg, test_cfg=test_cfg,
                         data_preprocessor=data_preprocessor, init_cfg=init_cfg)

    def extract_feat(self, batch_inputs: Tensor,
                     batch_data_samples: OptSampleList = None) -> Tensor:
        """(B, C, H, W) -> (1, B, Q, D), the leading axis being DETRHead's decoder layers."""
        shapes = None if batch_data_samples is None else [
            sample.img_shape for sample in batch_data_samples]
        return self.backbone(batch_inputs, shapes)[None]

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict:
        """Losses of a batch, see :meth:`YOLOSHead.loss`."""
        if not self.bbox_head.patch_loss_weight:
            tokens = self.extract_feat(batch_inputs, batch_data_samples)
            return self.bbox_head.loss(tokens, batch_data_samples)
        tokens, patches = self.backbone(
            batch_inputs, [sample.img_shape for sample in batch_data_samples], with_patches=True)
        return self.bbox_head.loss(tokens[None], batch_data_samples, patches,
                                   self.backbone.token_stride)

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                rescale: bool = True) -> SampleList:
        """The samples with their ``pred_instances``, at most one per detection token."""
        tokens = self.extract_feat(batch_inputs, batch_data_samples)
        results = self.bbox_head.predict(tokens, batch_data_samples, rescale=rescale)
        return self.add_pred_to_datasample(batch_data_samples, results)

    def _forward(self, batch_inputs: Tensor,
                 batch_data_samples: OptSampleList = None) -> tuple[Tensor, Tensor]:
        return self.bbox_head(self.extract_feat(batch_inputs, batch_data_samples))
