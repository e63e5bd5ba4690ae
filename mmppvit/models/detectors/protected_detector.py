"""A protection network, trained for a detector that stays as it is."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from torch import Tensor

from mmppvit.models.protectors import (
    AdversarialReconstructor,
    BackboneDistance,
    fingerprint,
    load_frozen,
    pack_info,
    protect_batch,
    unpack_info,
)

__all__ = ['ProtectedDetector']

_FROZEN = ('detector.', 'perceptual.')  # prefixes of what checkpoints leave out


@MODELS.register_module()
class ProtectedDetector(BaseDetector):
    """A frozen detector behind a protector that learns (Ito et al., IEEE Access 2021).

    The loss is the detector's own on protected images, minus ``alpha`` times their perceptual
    distance to the plain ones. Only the protector learns, and a reconstructor where there is one:
    the detector's parameters have no gradients, its norms and dropout stay in eval mode.

    The detector gets what it will get later: the 8-bit values of a protected file, through its
    own data preprocessor. Every image is protected in its own frame, and the batch is padded
    afterwards. Images come as the loader gives them, BGR of range 0 to 255.

    Checkpoints hold neither the detector nor the perceptual features. They name the detector by
    its fingerprint, and are refused beside another one.

    Args:
        detector (str | dict): Config file of any MMDetection detector, also ``mmdet::...``, or
            its ``model``.
        checkpoint (str, optional): The detector's trained weights.
        protector (dict): The network that protects.
        alpha (float): Weight of the perceptual distance.
        perceptual (dict, optional): :class:`VGGDistance`, the paper's, for which a file of
            weights is needed, :class:`RandomFeatureDistance`, for which none is, or
            :class:`BackboneDistance`. None for none.
        reconstructor (dict, optional): Arguments of :class:`AdversarialReconstructor`.
        quantize (bool): Round to 8 bit in training, straight through for the gradient.
            Predictions are always made from 8-bit values.
        data_preprocessor (dict, optional): Moves data to the device and must not do more.
        init_cfg (dict, optional): Initialization.

    Raises:
        ValueError: ``alpha`` is given without a distance, or is negative.
    """

    def __init__(self,
                 detector: str | Mapping,
                 checkpoint: str | None = None,
                 protector: dict = dict(type='ProtectionUNet'),
                 alpha: float = .01,
                 perceptual: dict | None = dict(type='RandomFeatureDistance'),
                 reconstructor: dict | None = None,
                 quantize: bool = True,
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor or dict(type='mmengine.BaseDataPreprocessor'), init_cfg)
        if alpha < 0 or (alpha and perceptual is None):
            raise ValueError(f'alpha={alpha} with perceptual={perceptual}: alpha must not be '
                             'negative, and needs a distance unless it is 0')
        self.alpha = alpha
        self.quantize = quantize
        self.has_checkpoint = checkpoint is not None
        self.detector = load_frozen(detector, checkpoint)
        self.protector = MODELS.build(protector)
        self.perceptual = None if perceptual is None else MODELS.build(perceptual)
        if isinstance(self.perceptual, BackboneDistance):
            self.perceptual.attach(self.detector)
        self.reconstructor = None if reconstructor is None else AdversarialReconstructor(
            **{key: value for key, value in reconstructor.items() if key != 'type'})
        self._register_state_dict_hook(_drop_frozen)
        self._register_load_state_dict_pre_hook(_keep_frozen, with_module=True)

    def init_weights(self) -> None:
        """Initialize what learns, and the detector if it has no checkpoint."""
        for part in (self.protector, self.reconstructor):
            if part is not None:
                part.init_weights()
        if not self.has_checkpoint:
            self.detector.init_weights()
        self._is_init = True

    def train(self, mode: bool = True) -> ProtectedDetector:
        """As usual, but the detector's modules stay in eval mode."""
        super().train(mode)
        self.detector.eval()
        # Some, such as DINO, make their loss from what they prepare in training only. They ask the
        # detector itself, which has neither norms nor dropout that are not modules of their own.
        self.detector.training = mode
        return self

    def get_extra_state(self) -> Tensor:
        """The protector's settings and the detector's fingerprint; uint8."""
        return pack_info(self.protector, fingerprint(self.detector.state_dict()))

    def set_extra_state(self, state: Tensor) -> None:
        """Compare a checkpoint's fingerprint with the detector's.

        Raises:
            ValueError: Its protector was trained for another detector.
        """
        found, own = unpack_info(state)['made_for'], fingerprint(self.detector.state_dict())
        if found != own:
            raise ValueError(f'the protector of this checkpoint was trained for a detector with '
                             f'other weights ({found}, not {own}): set model.checkpoint to those')

    def protect(self, inputs: Iterable[Tensor], quantize: bool = True) -> list[Tensor]:
        """Protect images, each in its own frame; in training those of one shape together.

        Args:
            inputs (Iterable[Tensor]): (3, H, W) each, BGR of range 0 to 255.
            quantize (bool): Round to 8 bit.

        Returns:
            list[Tensor]: In the same order, float32 and BGR of range 0 to 255.
        """
        inputs = list(inputs)
        protected: list[Tensor | None] = [None] * len(inputs)
        for places in _same_shapes(inputs):
            batch = torch.stack([inputs[i] for i in places])
            for i, image in zip(places, protect_batch(self.protector, batch, quantize),
                                  strict=True):
                protected[i] = image
        return protected

    def loss(self, inputs: Iterable[Tensor], data_samples: Sequence) -> dict[str, Tensor]:
        """Losses, which are summed, and ``perceptual_distance`` and such, which are logged.

        Args:
            inputs (Iterable[Tensor]): (3, H, W) each, BGR of range 0 to 255.
            data_samples (Sequence[DetDataSample]): Their annotations.
        """
        inputs = list(inputs)
        protected = self.protect(inputs, self.quantize)
        data = self._prepare(protected, data_samples, True)
        losses = self.detector.loss(data['inputs'], data['data_samples'])
        for places in _same_shapes(inputs):
            found, plain = (torch.stack([x[i].flip(0).float() / 255 for i in places])
                            for x in (protected, inputs))
            share = len(places) / len(inputs)
            for name, value in self._visual_losses(found, plain).items():
                losses[name] = losses.get(name, 0.) + share * value
        return losses

    def _visual_losses(self, protected: Tensor, plain: Tensor) -> dict[str, Tensor]:
        """What speaks against the likeness of RGB images of range 0 to 1, (B, 3, H, W) each."""
        losses = {}
        if self.perceptual is not None:
            # The control, alpha 0, logs the distance and pays for no gradient.
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.alpha > 0):
                distance = self.perceptual(protected, plain)
            losses['perceptual_distance'] = distance.detach()
            if self.alpha:
                losses['loss_perceptual'] = -self.alpha * distance
        if self.reconstructor is not None:
            losses.update(self.reconstructor(protected, plain))
        return losses

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum, and what is logged.

        Raises:
            FloatingPointError: The sum is not finite; the weights were not yet changed by it.
        """
        loss, log_vars = super().parse_losses(losses)
        if not torch.isfinite(loss):
            parts = ', '.join(name for name, value in log_vars.items()
                              if name != 'loss' and not torch.isfinite(value).all())
            raise FloatingPointError(
                f'the loss is {float(loss)} (from {parts or "its sum"}), training stops; the last '
                'checkpoint is from before. Lower optim_wrapper.optimizer.lr, or clip gradients '
                'with optim_wrapper.clip_grad, and go on with --resume')
        return loss, log_vars

    def predict(self, inputs: Iterable[Tensor], data_samples: Sequence, rescale: bool = True):
        """What the detector finds in the protected 8-bit images; list[DetDataSample]."""
        data = self._prepare(self.protect(inputs), data_samples, False)
        return self.detector.predict(data['inputs'], data['data_samples'], rescale=rescale)

    def _forward(self, inputs: Iterable[Tensor], data_samples: Sequence | None = None):
        data = self._prepare(self.protect(inputs), data_samples, False)
        return self.detector(data['inputs'], data['data_samples'], mode='tensor')

    def extract_feat(self, inputs: Iterable[Tensor]):
        """The detector's features of the protected 8-bit images."""
        data = self._prepare(self.protect(inputs), None, False)
        return self.detector.extract_feat(data['inputs'])

    def _prepare(self, protected: list[Tensor], data_samples: Sequence | None, training: bool
                 ) -> dict:
        """Channel order, normalization and padding as the detector's config has them."""
        return self.detector.data_preprocessor(
            dict(inputs=protected, data_samples=data_samples), training)


def _same_shapes(images: Sequence[Tensor]) -> list[list[int]]:
    """Places of the images of one shape, shape by shape."""
    groups: dict[torch.Size, list[int]] = {}
    for i, image in enumerate(images):
        groups.setdefault(image.shape, []).append(i)
    return list(groups.values())


def _drop_frozen(module: ProtectedDetector, state: dict, prefix: str, metadata: dict) -> None:
    """State-dict hook: detectors are large, and stay as they are."""
    for name in [name for name in state if name.removeprefix(prefix).startswith(_FROZEN)]:
        del state[name]


def _keep_frozen(module: ProtectedDetector, state: dict, prefix: str, *args) -> None:
    """Hook before loading: what is frozen is not missed, and not replaced."""
    for part in _FROZEN:
        frozen = getattr(module, part[:-1])
        if frozen is not None:
            state.update({prefix + part + name: value
                          for name, value in frozen.state_dict().items()})
