"""The network that turns plain images into protected ones."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812, as everywhere
from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

__all__ = ['ProtectionUNet']

_ARCHS = {
    'paper': dict(channels=(64, 128, 256, 512, 1024), downscale=1),
    'light': dict(channels=(16, 32, 64, 96), downscale=2),
}


@MODELS.register_module()
class ProtectionUNet(BaseModule):
    """U-Net from plain to protected images of the same size (Ito et al., IEEE Access 2021).

    A level is (conv 3x3, norm, ReLU) twice; max pooling leads down, nearest upsampling with one
    (conv 3x3, norm, ReLU) leads up, and a skip comes first in the concatenation. A 1x1 convolution
    gives logits: :meth:`protect` has the sigmoid.

    Sides that are not multiples of :attr:`stride` are padded right and bottom by repeating the last
    row and column, and cropped back.

    Args:
        arch (str | Sequence[int] | dict): 'paper', 34.5 M parameters; 'light', 0.43 M, which a
            laptop can train; channels of the levels; or a dict with ``channels`` and
            ``downscale``. With a ``downscale`` of 2 the first level works on half the resolution:
            blocks of 2x2 pixels become channels (pixel unshuffle) and back at the end.
        in_channels (int): Of the images, and of the result.
        norm (str | dict | None): A norm of mmcv: 'BN', 'GN' (8 groups), or its whole
            ``norm_cfg``; None for none. With batch norm, images influence each other in
            training, and never in eval mode.
        init_cfg (dict, optional): Initialization.

    Raises:
        ValueError: The arch has no name here, or channels or downscale make no network.
    """

    def __init__(self,
                 arch: str | Sequence[int] | Mapping = 'paper',
                 in_channels: int = 3,
                 norm: str | dict | None = 'BN',
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.channels, self.downscale = _read_arch(arch)
        self.in_channels = in_channels
        self.norm = dict(norm) if isinstance(norm, Mapping) else norm
        pixels, first = in_channels * self.downscale**2, self.channels[0]
        inputs = (pixels, *self.channels[:-1])
        steps = list(pairwise(self.channels))
        self.encoders = nn.ModuleList(
            self._block(above, below) for above, below in zip(inputs, self.channels, strict=True))
        self.ups = nn.ModuleList(self._conv(below, above) for above, below in steps)
        self.decoders = nn.ModuleList(self._block(2 * above, above) for above, _ in steps)
        self.head = nn.Conv2d(first, pixels, 1)

    @property
    def stride(self) -> int:
        """Sides are padded to multiples of it: 16 for both archs."""
        return self.downscale * 2**(len(self.channels) - 1)

    @property
    def settings(self) -> dict:
        """Arguments that build this network again; plain values, as JSON has them."""
        arch = dict(channels=list(self.channels), downscale=self.downscale)
        return dict(arch=arch, in_channels=self.in_channels, norm=self.norm)

    def _conv(self, channels_in: int, channels_out: int) -> nn.Sequential:
        norm = dict(type='GN', num_groups=8) if self.norm == 'GN' else self.norm
        norm = dict(type=norm) if isinstance(norm, str) else norm
        layers = [] if norm is None else [build_norm_layer(norm, channels_out)[1]]
        # A norm takes a bias away again.
        conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=norm is None)
        return nn.Sequential(conv, *layers, nn.ReLU(inplace=True))

    def _block(self, channels_in: int, channels_out: int) -> nn.Sequential:
        return nn.Sequential(self._conv(channels_in, channels_out),
                             self._conv(channels_out, channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """RGB of range 0 to 1, float (B, C, H, W) -> logits of the protected RGB (B, C, H, W)."""
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % self.stride, 0, -height % self.stride), mode='replicate')
        if self.downscale > 1:
            x = F.pixel_unshuffle(x, self.downscale)
        if not torch.jit.is_tracing():  # ONNX has no such layout
            # Convolutions reorder nothing: a quarter less time in training the light one on a CPU.
            x = x.contiguous(memory_format=torch.channels_last)
        skips = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for level in reversed(range(len(self.decoders))):
            x = self.ups[level](F.interpolate(x, scale_factor=2., mode='nearest'))
            x = self.decoders[level](torch.cat([skips[level], x], 1))
        x = self.head(x)
        if self.downscale > 1:
            x = F.pixel_shuffle(x, self.downscale)
        return x[:, :, :height, :width]

    def protect(self, x: Tensor) -> Tensor:
        """RGB of range 0 to 1, float (B, C, H, W) -> protected RGB of range 0 to 1, float32."""
        # float32 under autocast, too: bfloat16's 8 bits are too few for a pixel's 256 values.
        return self(x).float().sigmoid()


def _read_arch(arch: str | Sequence[int] | Mapping) -> tuple[tuple[int, ...], int]:
    if isinstance(arch, str):
        if arch not in _ARCHS:
            raise ValueError(f'arch {arch!r} is not one of {sorted(_ARCHS)}; give the channels of '
                             'the levels for another size')
        arch = _ARCHS[arch]
    elif not isinstance(arch, Mapping):
        arch = dict(channels=arch)
    unknown = set(arch) - {'channels', 'downscale'}
    if unknown or 'channels' not in arch:
        raise ValueError(f'arch has {sorted(arch)}; it takes channels and downscale')
    channels, downscale = tuple(arch['channels']), arch.get('downscale', 1)
    if len(channels) < 2 or min(channels) < 1 or downscale < 1:
        raise ValueError(f'channels of at least two levels and a downscale of at least 1 make a '
                         f'U-Net, got {channels} and {downscale}')
    return channels, downscale
