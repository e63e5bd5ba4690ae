"""A classifier of timm as a model of MMEngine."""
from __future__ import annotations

from collections.abc import Sequence

import timm
import torch
import torch.nn.functional as F  # noqa: N812
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from timm.data import Mixup, resolve_model_data_config
from timm.data.random_erasing import RandomErasing
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy

__all__ = ['TimmClassifier']


@MODELS.register_module()
class TimmClassifier(BaseModel):
    """Normalizes, mixes images up and takes the loss of any model of timm.

    Weights of the model stand under ``model.`` in checkpoints.

    Args:
        name (str): Of the model in timm's registry.
        kwargs (dict): Further arguments of ``timm.create_model``, with ``num_classes``.
        mixup (float): Parameter of mixup's beta distribution; 0 for none.
        cutmix (float): The same of CutMix.
        random_erasing (float): Share of the images that lose a rectangle to noise, after they are
            normalized and before mixup, as timm does it without its own loader.
        label_smoothing (float): Share of the target that goes to all classes alike.
        mean (Sequence[float], optional): Of the channels, 0 to 1; default: the model's.
        std (Sequence[float], optional): The same.
    """

    def __init__(self, name: str, kwargs: dict, mixup: float = 0., cutmix: float = 0.,
                 label_smoothing: float = 0., mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None, random_erasing: float = 0.) -> None:
        super().__init__()
        self.model = timm.create_model(name, **kwargs)
        facts = resolve_model_data_config(self.model)
        for key, values in (('mean', mean), ('std', std)):
            value = torch.tensor(values or facts[key]).view(1, -1, 1, 1) * 255
            self.register_buffer(key, value, persistent=False)
        # The noise is drawn where the images are.
        self.erase = RandomErasing(random_erasing, mode='pixel', device='') \
            if random_erasing > 0 else None
        self.mixup = None
        if mixup > 0 or cutmix > 0:
            self.mixup = Mixup(mixup, cutmix, label_smoothing=label_smoothing,
                               num_classes=self.model.num_classes)
            self.criterion = SoftTargetCrossEntropy()
        elif label_smoothing > 0:
            self.criterion = LabelSmoothingCrossEntropy(label_smoothing)
        else:
            self.criterion = F.cross_entropy

    def init_weights(self) -> None:
        """Nothing: timm's models are initialized when they are made."""

    def forward(self, inputs: torch.Tensor, label: torch.Tensor | None = None,
                mode: str = 'tensor') -> torch.Tensor | dict | list[dict]:
        """Logits, the loss, or the best classes of each image.

        Args:
            inputs (Tensor): (B, 3, H, W) uint8, RGB.
            label (Tensor): (B, ) int64.
            mode (str): 'tensor', 'loss' or 'predict'.

        Returns:
            Tensor | dict | list[dict]: (B, classes); ``loss``; or for each image ``ranked``, the
            best five classes at most and the best first, ``label``, ``num_classes`` and ``loss``,
            its cross-entropy.
        """
        x = (inputs.float() - self.mean) / self.std
        if mode == 'loss':
            if self.erase is not None:
                self.erase.device = x.device
                x = self.erase(x)
            if self.mixup is not None:
                x, label = self.mixup(x, label)
            return dict(loss=self.criterion(self.model(x), label))
        logits = self.model(x)
        if mode == 'tensor':
            return logits
        count = logits.shape[1]
        ranked = logits.topk(min(5, count), dim=1).indices
        losses = F.cross_entropy(logits.float(), label, reduction='none')
        return [dict(ranked=row, label=int(one), num_classes=count, loss=float(loss))
                for row, one, loss in zip(ranked, label, losses, strict=True)]
