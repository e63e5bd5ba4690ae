"""A protection network, trained for a classifier that stays as it is."""
from __future__ import annotations

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor

from mmppvit.models.checkpoints.to_classifier import load_classifier
from mmppvit.models.protectors import fingerprint, pack_info, round_straight_through, unpack_info
from mmppvit.utils.user_errors import RunError

__all__ = ['ProtectedClassifier']


@MODELS.register_module()
class ProtectedClassifier(BaseModel):
    """A frozen classifier behind a protector that learns: the experiment of Ito et al., IEEE Access
    2021.

    The loss is ``CE(psi(N(s)), y) - alpha * d(s, x)`` with the protected image ``s``, the plain
    one ``x``, the classifier ``psi``, its normalization ``N`` and the perceptual distance ``d``.
    Only the protector learns. Checkpoints name the classifier by its fingerprint, and are refused
    beside another one; ``load_protector`` reads them.

    Args:
        classifier (dict): A :class:`TimmClassifier`.
        checkpoint (str): Its trained weights, ``.safetensors`` or ``.pth`` (weights only).
        protector (dict): The network that protects.
        alpha (float): Weight of the perceptual distance; 0 for none.
        perceptual (dict): The distance.
        quantize (bool): Round to 8 bit in training, straight through for the gradient; the paper
            does not. Predictions are always made from 8-bit values.
        report_loss (bool): Give predictions the loss that training lowers, for
            :class:`HeldOutLoss`; it takes a second pass.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It does not fit, or ``alpha`` is negative.
    """

    def __init__(self, classifier: dict, checkpoint: str,
                 protector: dict = dict(type='ProtectionUNet'), alpha: float = .01,
                 perceptual: dict = dict(type='RandomFeatureDistance'),
                 quantize: bool = False, report_loss: bool = False) -> None:
        super().__init__()
        if alpha < 0:
            raise ValueError(f'alpha must not be negative, got {alpha}')
        self.alpha, self.quantize, self.report_loss = alpha, quantize, report_loss
        self.classifier = MODELS.build(classifier)
        load_classifier(self.classifier.model, checkpoint)
        self.classifier.requires_grad_(False).eval()
        self.protector = MODELS.build(protector)
        self.perceptual = MODELS.build(perceptual)

    @property
    def made_for(self) -> str:
        """Fingerprint of the classifier's weights."""
        return fingerprint(self.classifier.model.state_dict())

    def init_weights(self) -> None:
        """Initialize what learns."""
        self.protector.init_weights()

    def train(self, mode: bool = True) -> ProtectedClassifier:
        """As usual, but the classifier stays in eval mode."""
        super().train(mode)
        self.classifier.eval()
        return self

    def get_extra_state(self) -> Tensor:
        """The protector's settings and the classifier's fingerprint; uint8."""
        return pack_info(self.protector, self.made_for)

    def set_extra_state(self, state: Tensor) -> None:
        """Compare a checkpoint's fingerprint with the classifier's.

        Raises:
            ValueError: Its protector was trained for another classifier.
        """
        found = unpack_info(state)['made_for']
        if found != self.made_for:
            raise ValueError('the protector of this checkpoint was trained for a classifier of '
                             f'other weights ({found}, not {self.made_for}): start anew, without '
                             '--resume')

    def protect(self, inputs: Tensor, quantize: bool) -> Tensor:
        """(B, 3, H, W), RGB, uint8 or of range 0 to 255 -> protected, float32 of that range."""
        levels = self.protector.protect(inputs.float() / 255) * 255
        return round_straight_through(levels) if quantize else levels

    def forward(self, inputs: Tensor, label: Tensor | None = None,
                mode: str = 'tensor') -> Tensor | dict | list[dict]:
        """As :class:`TimmClassifier`'s, on protected images.

        Args:
            inputs (Tensor): (B, 3, H, W) uint8, RGB, plain.
            label (Tensor): (B, ) int64.
            mode (str): 'tensor', 'loss' or 'predict'.
        """
        if mode != 'loss':
            results = self.classifier(self.protect(inputs, True), label, mode)
            if mode == 'predict' and self.report_loss:
                self._set_losses(results, inputs, label)
            return results
        protected = self.protect(inputs, self.quantize)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.alpha > 0):
            distance = self.perceptual(protected / 255, inputs.float() / 255)
        return dict(loss_class=self.classifier(protected, label, 'loss')['loss'],
                    loss_perceptual=-self.alpha * distance,
                    perceptual_distance=distance.detach())

    def _set_losses(self, results: list[dict], inputs: Tensor, label: Tensor) -> None:
        """The loss that training lowers, of the batch, in place of the classifier's."""
        losses = self(inputs, label, 'loss')
        total = float(losses['loss_class'] + losses['loss_perceptual'])
        for result in results:
            result['loss'] = total

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum, and what is logged.

        Raises:
            RuntimeError: The sum is not finite; nothing was learned from it.
        """
        total, logged = super().parse_losses(losses)
        if not torch.isfinite(total):
            raise RunError('the loss is not finite: choose a smaller --lr or --alpha; --resume '
                           'with it goes on from the last checkpoint')
        return total, logged
