"""What the learned attackers have in common: images as tensors, a U-Net, SSIM as a loss."""
from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, as everywhere
from torch import Tensor, nn

from mmppvit.attacks.networks.default_device import on_device
from mmppvit.encryption import MIDDLE_LEVEL, Scheme
from mmppvit.utils.cpu_features import has_fast_bfloat16
from mmppvit.utils.ssim import ssim

__all__ = ['KnownMixing', 'RestoringNetwork', 'UNet', 'in_bfloat16', 'patch_phases',
           'restoration_loss', 'ssim', 'tile_patches', 'to_image', 'to_tensor']

_MOST_UNDONE = .75  # strength of centering


def to_tensor(imgs: np.ndarray) -> Tensor:
    """uint8 or float of range 255, (..., H, W, 3) -> float32 (N, 3, H, W) of range -0.5 to 0.5.

    It is on the default device.
    """
    batch = np.asarray(imgs, np.float32).reshape(-1, *imgs.shape[-3:])
    return on_device(batch).permute(0, 3, 1, 2).contiguous() / 255 - .5


def to_image(tensor: Tensor) -> np.ndarray:
    """float (3, H, W) of range -0.5 to 0.5 -> uint8 (H, W, 3), rounded and clipped."""
    img = ((tensor.detach() + .5) * 255).round().clamp(0, 255)
    return np.ascontiguousarray(img.permute(1, 2, 0).cpu().numpy().astype(np.uint8))


def in_bfloat16(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorator of a network's forward: bfloat16 inside, where the device is faster in it.

    An attacker learns twice as much in the same time. Results are float32 again, so that losses
    and what is added to a start are exact.
    """
    @wraps(forward)
    def mixed(net: nn.Module, x: Tensor, *more: object) -> Tensor:
        device = x.device.type
        fast = torch.cuda.is_bf16_supported(including_emulation=False) if device == 'cuda' \
            else has_fast_bfloat16()
        with torch.autocast(device, torch.bfloat16, enabled=fast):
            out = forward(net, x, *more)
        return out.float()
    return mixed


def tile_patches(img: Tensor, side: int, grid: int) -> Tensor:
    """Repeat every patch ``grid`` x ``grid`` times: ``b c (h p) (w q) -> b c (h g p) (w g q)``.

    Of a mixed image that is the plain image of least squares, the pseudo-inverse of mixing.
    """
    batch, channels, height, width = img.shape
    patches = img.reshape(batch, channels, height // side, 1, side, width // side, 1, side)
    patches = patches.expand(-1, -1, -1, grid, -1, -1, grid, -1)
    return patches.reshape(batch, channels, height * grid, width * grid)


def patch_phases(size: int) -> Tensor:
    """The place within a patch, (1, 4, size, size): sine and cosine of row and of column."""
    phase = torch.arange(size) * (2 * torch.pi / size)
    waves = torch.stack([phase.sin(), phase.cos()])
    down, right = waves[:, :, None].expand(-1, -1, size), waves[:, None].expand(-1, size, -1)
    return torch.cat([down, right])[None]


class KnownMixing(nn.Module):
    """Mixing of images in order, as a linear map that gradients pass.

    A gain is undone, and so is centering up to a strength of 0.75. Beyond that rounding leaves
    more than 2 levels of doubt in the means: the texture of the mixed patch is then what is known,
    and this is mixing followed by taking the means away. Patches are not normalized. Rounding is
    left out, and so is saturation, but that the means of centered patches with saturated pixels
    count as unknown.

    Args:
        scheme (Scheme): Mixed and not shuffled; see :meth:`applies`.
    """

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        self.side, self.grid = scheme.side, scheme.grid
        self.centers, self.gain = scheme.centers, scheme.gain
        self.means_kept = 1 - scheme.center_strength
        self.texture_only = scheme.centers and scheme.center_strength > _MOST_UNDONE

    @staticmethod
    def applies(scheme: Scheme) -> bool:
        """Whether the encrypted image is, up to rounding, a known linear map of the plain one."""
        return scheme.mixes and not scheme.shuffles and not (scheme.centers and scheme.normalize)

    def known(self, encrypted: Tensor) -> Tensor:
        """What of the encrypted images :meth:`forward` has to meet; (B, C, h, w)."""
        if not self.centers:
            return encrypted
        texture = self._texture(encrypted)
        if self.texture_only:
            return texture / self.gain
        middle = MIDDLE_LEVEL / 255 - .5
        return texture / self.gain + (encrypted - texture - middle) / self.means_kept + middle

    def _texture(self, mixed: Tensor) -> Tensor:
        means = F.avg_pool2d(mixed, self.side)
        return mixed - F.interpolate(means, scale_factor=float(self.side), mode='nearest')

    def forward(self, plain: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / grid, W / grid)."""
        batch, channels, height, width = plain.shape
        side, grid = self.side, self.grid
        rows, cols = height // (side * grid), width // (side * grid)
        patches = plain.reshape(batch, channels, rows, grid, side, cols, grid, side)
        mixed = patches.mean((3, 6)).reshape(batch, channels, rows * side, cols * side)
        return self._texture(mixed) if self.texture_only else mixed

    def project(self, plain: Tensor, encrypted: Tensor) -> Tensor:
        """The image nearest to ``plain`` that encrypts to ``encrypted``, before rounding."""
        missing = self.known(encrypted) - self(plain)
        if self.centers and not self.texture_only:
            # What was clipped off a patch moved its mean, and undoing the centering raises that.
            clipped = (encrypted.abs() >= .5 - 1e-4).float()
            clipped = F.interpolate(F.max_pool2d(clipped, self.side), scale_factor=float(self.side))
            missing = torch.where(clipped > 0, self._texture(missing), missing)
        return plain + tile_patches(missing, self.side, self.grid)

    def remainder(self, plain: Tensor) -> Tensor:
        """The part of ``plain`` in the null space: adding it changes no encrypted pixel."""
        return plain - tile_patches(self(plain), self.side, self.grid)


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.SiLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, 3, padding=1), nn.SiLU(inplace=True))


class UNet(nn.Module):
    """U-Net from an image frame to the same frame, of any size.

    Its first level works at half the resolution (pixel unshuffle and shuffle), its last at 1/16:
    a level has twice the channels of the one above, up to four times ``width``. No normalization
    layers: batches are small, and brightness is part of the answer.

    Args:
        in_channels (int): Of the input.
        out_channels (int): Of the output.
        width (int): Channels of the first level.
    """
    _STRIDE = 16

    def __init__(self, in_channels: int, out_channels: int = 3, width: int = 48) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 4 * width]
        self.stem = nn.Conv2d(4 * in_channels, width, 3, padding=1)
        self.downs = nn.ModuleList(
            nn.Conv2d(above, below, 2, stride=2) for above, below in pairwise(widths))
        self.encoders = nn.ModuleList(_block(w, w) for w in widths)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(below, above, 2, stride=2) for above, below in pairwise(widths))
        self.decoders = nn.ModuleList(_block(2 * w, w) for w in widths[:-1])
        self.head = nn.Conv2d(width, 4 * out_channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)  # so that residual users begin with what they had
        nn.init.zeros_(self.head.bias)

    @in_bfloat16
    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        height, width = x.shape[2:]
        missing = (-width % self._STRIDE, -height % self._STRIDE)
        x = F.pad(x, (0, missing[0], 0, missing[1]), mode='replicate')
        x = self.stem(F.pixel_unshuffle(x, 2))
        skips = []
        for level, encoder in enumerate(self.encoders):
            if level:
                x = self.downs[level - 1](x)
            x = x + encoder(x)
            skips.append(x)
        for level in reversed(range(len(self.decoders))):
            x = self.decoders[level](torch.cat([skips[level], self.ups[level](x)], 1))
        return F.pixel_shuffle(self.head(x), 2)[:, :, :height, :width]


class RestoringNetwork(nn.Module):
    """U-Net that adds to a start what the encrypted image tells.

    It sees, in the frame of the plain image, every encrypted patch repeated over the area it
    came from, the start, and the place within the patch. Where the scheme is a known linear map,
    its output is moved to the nearest image that encrypts to the very same.

    Args:
        scheme (Scheme): Of the images.
        width (int): Of the U-Net.
    """

    def __init__(self, scheme: Scheme, width: int = 48) -> None:
        super().__init__()
        self.side, self.grid = scheme.side, scheme.grid
        self.mixing = KnownMixing(scheme) if KnownMixing.applies(scheme) else None
        self.register_buffer('phases', patch_phases(scheme.patch_size))
        self.net = UNet(10, 3, width)

    def forward(self, encrypted: Tensor, start: Tensor) -> Tensor:
        """(B, 3, h, w) and (B, 3, H, W) -> (B, 3, H, W), all of range -0.5 to 0.5."""
        tiled = tile_patches(encrypted, self.side, self.grid)
        rows, cols = (extent // self.phases.shape[2] for extent in tiled.shape[2:])
        phases = self.phases.repeat(len(tiled), 1, rows, cols)
        restored = start + self.net(torch.cat([tiled, start, phases], 1))
        if self.mixing is not None:
            restored = self.mixing.project(restored, encrypted)
        return restored


def restoration_loss(restored: Tensor, plain: Tensor) -> Tensor:
    """L1 plus a share of 1 - SSIM, of images of range -0.5 to 0.5."""
    return F.l1_loss(restored, plain) + .1 * (1 - ssim(restored + .5, plain + .5))
