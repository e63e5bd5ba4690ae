"""Distances between images as networks see them, for a protector to make large."""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from mmppvit.models.checkpoints import read_state_dict

__all__ = ['BackboneDistance', 'FeatureDistance', 'RandomFeatureDistance', 'VGGDistance']

_MEAN, _STD = (.485, .456, .406), (.229, .224, .225)  # ImageNet's, of RGB from 0 to 1


class FeatureDistance(nn.Module, ABC):
    """Mean squared difference of frozen features; Ito et al. 2021, the second term of the loss.

    Args:
        crop (int, optional): Side of a window, at a random place, the same for both images of
            a batch, that stands for the whole: its cost is a fraction. Whole images if None.
    """

    def __init__(self, crop: int | None = None) -> None:
        super().__init__()
        self.crop = crop

    @abstractmethod
    def features(self, images: Tensor) -> Sequence[Tensor]:
        """RGB of range 0 to 1, (B, 3, H, W) -> maps (B, C_k, H_k, W_k)."""

    def forward(self, protected: Tensor, plain: Tensor) -> Tensor:
        """RGB of range 0 to 1, (B, 3, H, W) each -> the mean over all maps, a float32 scalar."""
        if self.crop is not None:
            protected, plain = _same_window(protected, plain, self.crop)
        with torch.no_grad():
            goals = self.features(plain)
        found = self.features(protected)
        # float32 under autocast, too.
        parts = [(a.float() - b.float()).square().mean()
                 for a, b in zip(found, goals, strict=True)]
        return torch.stack(parts).mean()


class _VGGStart(FeatureDistance):
    """The first two stages of VGG16, conv1_1 to relu2_2, with weights that stay as they are."""

    def __init__(self, channels: Sequence[int], crop: int | None) -> None:
        super().__init__(crop)
        first, second = channels
        # Places as in torchvision's and timm's VGG16, so that their names fit.
        self.layers = nn.Sequential(
            nn.Conv2d(3, first, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(first, first, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(second, second, 3, padding=1), nn.ReLU(inplace=True)).requires_grad_(False)
        self.register_buffer('mean', torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(_STD).view(3, 1, 1), persistent=False)

    def features(self, images: Tensor) -> tuple[Tensor]:
        return (self.layers((images - self.mean) / self.std), )


@MODELS.register_module()
class VGGDistance(_VGGStart):
    """By the features of an ImageNet VGG16 at relu2_2, as in the paper.

    Args:
        checkpoint (str): State dict of torchvision's or timm's VGG16 without batch norm, ``.pth``
            (weights only) or ``.safetensors``, e.g. that of :attr:`SOURCE`.
        crop (int, optional): As in :class:`FeatureDistance`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a VGG16 without batch norm.
    """
    SOURCE = 'https://download.pytorch.org/models/vgg16-397923af.pth'

    def __init__(self, checkpoint: str, crop: int | None = None) -> None:
        super().__init__((64, 128), crop)
        if '://' not in str(checkpoint) and not Path(checkpoint).is_file():
            raise FileNotFoundError(
                f'no VGG16 weights {checkpoint}: they are at {self.SOURCE}; '
                "perceptual=dict(type='RandomFeatureDistance') needs none")
        state = {name.removeprefix('features.'): value
                 for name, value in read_state_dict(checkpoint).items()}
        own = self.layers.state_dict()
        if any(name not in state or state[name].shape != own[name].shape for name in own):
            raise ValueError(f'{checkpoint} is not a VGG16 without batch norm, in the layout of '
                             f'torchvision or timm: take {self.SOURCE}')
        self.layers.load_state_dict({name: state[name] for name in own})


@MODELS.register_module()
class RandomFeatureDistance(_VGGStart):
    """By the features of an untrained VGG16 at relu2_2: no weights to get.

    Weights are He's normal ones from a seed and biases are zero, so that features have the
    variance of the normalized images and the distance of two unrelated ones is about 1. That
    is less than with trained weights: an ``alpha`` for the one is none for the other.

    Args:
        channels (Sequence[int]): Of the two stages; VGG16's by default, and (16, 32) for a
            sixteenth of the work.
        seed (int): Of the weights; the same on every machine.
        crop (int, optional): As in :class:`FeatureDistance`.
    """

    def __init__(self, channels: Sequence[int] = (64, 128), seed: int = 0,
                 crop: int | None = None) -> None:
        super().__init__(channels, crop)
        generator = torch.Generator().manual_seed(seed)
        for conv in self.layers:
            if isinstance(conv, nn.Conv2d):
                noise = torch.randn(conv.weight.shape, generator=generator)
                conv.weight.copy_(noise * (2 / conv.weight[0].numel())**.5)
                nn.init.zeros_(conv.bias)


@MODELS.register_module()
class BackboneDistance(FeatureDistance):
    """By what the frozen detector's own backbone makes of the images, at all its levels.

    It needs no weights either, but asks for the opposite of what the detector needs, which is to
    find its features in the protected image: take a smaller ``alpha``.

    Args:
        crop (int, optional): As in :class:`FeatureDistance`; a multiple of the backbone's stride.
    """

    def attach(self, detector: nn.Module) -> None:
        """Use this detector, which must be frozen."""
        self._detector = (detector, )  # no sub-module: it is one of the model around both

    def features(self, images: Tensor) -> Sequence[Tensor]:
        detector, = self._detector
        inputs = list((images * 255).flip(1))
        batch = detector.data_preprocessor(dict(inputs=inputs, data_samples=None))
        return detector.backbone(batch['inputs'])


def _same_window(a: Tensor, b: Tensor, side: int) -> tuple[Tensor, Tensor]:
    top, left = (int(torch.randint(max(extent - side, 0) + 1, ())) for extent in a.shape[2:])
    return tuple(x[:, :, top:top + side, left:left + side] for x in (a, b))
