"""A conditional diffusion model of what encryption leaves open, and a sampler of it."""
from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812, as everywhere
from torch import Tensor, nn

from mmppvit.attacks.networks.restoration import (
    KnownMixing,
    in_bfloat16,
    patch_phases,
    tile_patches,
)
from mmppvit.encryption import Scheme

__all__ = ['LEVELS', 'NOTHING', 'Denoiser', 'DenoisingUNet', 'KnownDownsampling', 'known_map',
           'sample']

_DEVIATION = .5  # of what is drawn, in the units of the denoiser
_LEAST = 1 / 255  # of contrasts and spreads, in those of images
NOTHING = 100.  # the level at which noise is all there is: what is found is the mean
LEVELS = (5., 2.5, 1.2, .6, .3, .15)  # that a sampler can begin with
_SMALLEST = .05
_MOST = 30.  # weight of an error in the loss


class KnownDownsampling(KnownMixing):
    """Downsampling: mixing of patches whose sub-patches are single pixels."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__(scheme)
        self.side = 1

    @staticmethod
    def applies(scheme: Scheme) -> bool:
        return scheme.shrinks and not scheme.mixes and not scheme.shuffles


def known_map(scheme: Scheme) -> KnownMixing | None:
    """The scheme as a linear map, up to rounding; None where it is not one, or not known."""
    for kind in (KnownMixing, KnownDownsampling):
        if kind.applies(scheme):
            return kind(scheme)
    return None


class _Norm(nn.LayerNorm):
    """Over the channels of each place: a cut-out is computed as it is within a large image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Block(nn.Module):
    """Two convolutions; the noise level scales and shifts what is between them."""

    def __init__(self, channels_in: int, channels_out: int, embedding: int) -> None:
        super().__init__()
        self.before, self.between = _Norm(channels_in), _Norm(channels_out)
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels_out)
        self.past = (nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out
                     else nn.Identity())
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        scale, shift = self.modulation(level)[:, :, None, None].chunk(2, 1)
        inner = self.between(self.first(F.silu(self.before(x))))
        return self.past(x) + self.second(F.silu(inner * (1 + scale) + shift))


class DenoisingUNet(nn.Module):
    """U-Net that is told the noise level, from a frame to the same frame, of any size.

    Levels, widths and sizes are those of :class:`mmppvit.attacks.networks.restoration.UNet`;
    residual blocks with normalization take the place of plain ones.

    Args:
        in_channels (int): Of the input.
        out_channels (int): Of the output.
        width (int): Channels of the first level.
        depth (int): Blocks of each level, on the way down and on the way up.
    """
    _STRIDE, _WAVES = 16, 6

    def __init__(self, in_channels: int, out_channels: int = 3, width: int = 32,
                 depth: int = 1) -> None:
        super().__init__()
        widths, embedding = [width, 2 * width, 4 * width, 4 * width], 4 * width
        self.register_buffer('waves', torch.pi / 2 * 2.**torch.arange(self._WAVES))
        self.level = nn.Sequential(
            nn.Linear(2 * self._WAVES, embedding), nn.SiLU(), nn.Linear(embedding, embedding),
            nn.SiLU())
        self.stem = nn.Conv2d(4 * in_channels, width, 3, padding=1)
        self.downs = nn.ModuleList(
            nn.Conv2d(above, below, 2, stride=2) for above, below in pairwise(widths))
        self.encoders = nn.ModuleList(nn.ModuleList(
            _Block(w, w, embedding) for _ in range(depth)) for w in widths)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(below, above, 2, stride=2) for above, below in pairwise(widths))
        self.decoders = nn.ModuleList(nn.ModuleList(
            _Block(w if k else 2 * w, w, embedding) for k in range(depth)) for w in widths[:-1])
        self.head = nn.Conv2d(width, 4 * out_channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @in_bfloat16
    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """(B, in_channels, H, W) and levels (B, ) of about -1 to 1 -> (B, out_channels, H, W)."""
        height, width = x.shape[2:]
        missing = (-width % self._STRIDE, -height % self._STRIDE)
        x = F.pad(x, (0, missing[0], 0, missing[1]), mode='replicate')
        angles = level[:, None] * self.waves
        embedded = self.level(torch.cat([angles.sin(), angles.cos()], 1))
        x = self.stem(F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last))
        skips = []
        for place, blocks in enumerate(self.encoders):
            if place:
                x = self.downs[place - 1](x)
            for block in blocks:
                x = block(x, embedded)
            skips.append(x)
        for place in reversed(range(len(self.decoders))):
            x = torch.cat([skips[place], self.ups[place](x)], 1)
            for block in self.decoders[place]:
                x = block(x, embedded)
        return F.pixel_shuffle(self.head(x), 2)[:, :, :height, :width]


class Denoiser(nn.Module):
    """What the plain image may be beyond the start, from that with noise on it.

    Drawn is the difference of the plain image and a start, in units of its spread, which is
    predicted for every patch: where the start is flat, hardly anything is left to draw. Its colors
    are made independent, as most of it is gray. Where the scheme is a known linear map, start and
    plain image encrypt to the same, so that the difference lies in the null space of the map, and
    noise and results are kept there (Wang et al., *Zero-shot image restoration using denoising
    diffusion null-space model*, ICLR 2023): whatever is drawn encrypts to the given image. The
    network sees the encrypted patches repeated over the area they
    came from, the start, and the place within the patch, as Palette (Saharia et al., SIGGRAPH
    2022) is shown its condition. Noise levels are those of Karras et al., *Elucidating the design
    space of diffusion-based generative models* (NeurIPS 2022). The network tells the image and not
    the noise, so that after few steps of learning what is drawn is smooth and not noisy.

    Args:
        scheme (Scheme): Of the images.
        width (int): Of the U-Net.
        depth (int): Of the U-Net.
    """

    def __init__(self, scheme: Scheme, width: int = 32, depth: int = 1) -> None:
        super().__init__()
        self.known = known_map(scheme)
        self.side = scheme.side if self.known is None else self.known.side
        self.grid, self.patch_size = scheme.grid, scheme.patch_size
        self.register_buffer('phases', patch_phases(scheme.patch_size))
        # The logarithm of the spread, by that of the contrast of the start: at 0, and its slope.
        self.register_buffer('spread', torch.zeros(2))
        self.register_buffer('colors', torch.eye(3))  # of what is drawn, as BGR
        self.register_buffer('from_colors', torch.eye(3))
        self.net = DenoisingUNet(17, 3, width, depth).to(memory_format=torch.channels_last)

    def prepare(self, encrypted: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is drawn from.

        Args:
            encrypted (Tensor): (B, 3, h, w) of range -0.5 to 0.5.
            start (Tensor): (B, 3, H, W) of the same range.

        Returns:
            tuple: The start that encrypts to ``encrypted``, (B, 3, H, W); the spread of the plain
            image around it, (B, 1, H, W), of one value a patch; the condition (B, 14, H, W).
        """
        if self.known is not None:
            start = self.known.project(start, encrypted)
        tiled = tile_patches(encrypted, self.side, self.grid)
        rows, cols = (extent // self.patch_size for extent in tiled.shape[2:])
        logs = self.spread[0] + self.spread[1] * self._log_contrast(start)
        spread = self._whole(logs.exp())
        textures = [(img - self._whole(self._means(img))) / (4 * spread) for img in (tiled, start)]
        phases = self.phases.repeat(len(tiled), 1, rows, cols)
        return start, spread, torch.cat([start, *textures, self._whole(logs) / 4, phases], 1)

    def fit_spread(self, start: Tensor, plain: Tensor) -> None:
        """Learn how far plain images are from starts, each (B, 3, H, W), that encrypt alike."""
        x = self._log_contrast(start)
        squares = self._means(self.open(plain - start).square()).mean(1, keepdim=True)
        y = (squares + _LEAST**2).log() / 2
        slope = ((x - x.mean()) * (y - y.mean())).mean() / (x.var(correction=0) + 1e-3)
        logs = y.mean() + slope * (x - x.mean())
        # Means of logarithms are not those of squares: the unit is the deviation.
        more = (squares / (2 * logs).exp()).mean().clamp(min=1e-6).log() / 2 - math.log(_DEVIATION)
        self.spread.copy_(torch.stack([y.mean() - slope * x.mean() + more, slope]))
        left = self.open(plain - start) / self._whole((logs + more).exp())
        values, axes = torch.linalg.eigh(torch.cov(left.transpose(0, 1).flatten(1).cpu()))
        roots = (values.clamp(min=1e-4).sqrt() / _DEVIATION).diag()
        self.colors.copy_(axes @ roots @ axes.T)
        self.from_colors.copy_(self.colors.inverse())

    def to_draw(self, difference: Tensor, spread: Tensor) -> Tensor:
        """Plain images less their starts -> what is drawn, both (B, 3, H, W)."""
        return _mix_colors(self.from_colors, self.open(difference) / spread)

    def drawn(self, found: Tensor, spread: Tensor) -> Tensor:
        """The reverse of :meth:`to_draw`."""
        return _mix_colors(self.colors, found) * spread

    def _means(self, img: Tensor) -> Tensor:
        return F.avg_pool2d(img, self.patch_size)

    def _whole(self, patches: Tensor) -> Tensor:
        """One value a patch -> the same for all of its pixels."""
        return patches.repeat_interleave(self.patch_size, 2).repeat_interleave(self.patch_size, 3)

    def _log_contrast(self, img: Tensor) -> Tensor:
        squares = (img - self._whole(self._means(img))).square()
        return (self._means(squares).mean(1, keepdim=True) + _LEAST**2).log() / 2

    def open(self, img: Tensor) -> Tensor:
        """The part of ``img`` that encryption leaves open: it changes no encrypted pixel."""
        return img if self.known is None else self.known.remainder(img)

    def forward(self, noisy: Tensor, noise_level: Tensor, condition: Tensor) -> Tensor:
        """What is drawn, from that plus noise of deviations (B, ); both (B, 3, H, W)."""
        # Times the share of the noisy image that is no noise: of noise alone hardly any is seen.
        share = _DEVIATION**2 / (noise_level[:, None, None, None]**2 + _DEVIATION**2)
        return self.open(self.net(torch.cat([2 * share * noisy, 2 * condition], 1),
                                  noise_level.log() / 4))

    def loss(self, drawn: Tensor, condition: Tensor, noise_level: Tensor,
             noise: Tensor) -> Tensor:
        """Squared error of what is drawn, weighted by the level of noise.

        Weights are those of unit error at every level, up to a most: below it, little is left to
        decide, and a network of few steps would learn nothing but to tell the noise.

        Args:
            drawn (Tensor): (B, 3, H, W), see :meth:`to_draw`.
            condition (Tensor): See :meth:`prepare`.
            noise_level (Tensor): (B, ) deviations, above 0.
            noise (Tensor): (B, 3, H, W) of deviation 1.
        """
        sigma = noise_level[:, None, None, None]
        found = self(drawn + sigma * self.open(noise), noise_level, condition)
        weight = (1 / sigma**2 + 1 / _DEVIATION**2).clamp(max=_MOST)
        return (weight * (found - drawn)**2).mean()


def _mix_colors(matrix: Tensor, img: Tensor) -> Tensor:
    return torch.einsum('ij,bjhw->bihw', matrix, img)


def sample(denoiser: Denoiser, condition: Tensor, steps: int, noise: Callable[[], Tensor],
           largest: float = LEVELS[0]) -> Tensor:
    """Draw differences of plain images and starts, by the stochastic DPM-Solver++(2M).

    Lu et al., *DPM-Solver++* (arXiv 2211.01095), at the noise levels of Karras et al. Noise that
    is added at every step takes errors of the steps before away, of which there are many where
    little was learned. It begins with the mean, as the network sees it in noise alone, and noise
    of level ``largest`` (Chung et al., *Come-closer-diffuse-faster*, CVPR 2022): the less, the
    nearer to the mean.

    Args:
        denoiser (Denoiser): Trained.
        condition (Tensor): (B, 14, H, W), see :meth:`Denoiser.prepare`.
        steps (int): Calls of the network after the first, at least 2.
        noise (Callable): Draws (B, 3, H, W) of deviation 1.
        largest (float): Level to begin with, one of :data:`LEVELS`.

    Returns:
        Tensor: (B, 3, H, W), see :meth:`Denoiser.drawn`.
    """
    alone = NOTHING * denoiser.open(noise())
    mean = denoiser(alone, alone.new_full((len(alone), ), NOTHING), condition)
    ramp = torch.linspace(largest**(1 / 7), _SMALLEST**(1 / 7), steps, device='cpu')
    levels = [*(ramp**7).tolist(), 0.]
    x, before, last_ratio = mean + levels[0] * denoiser.open(noise()), None, 1.
    for level, following in pairwise(levels):
        found = denoiser(x, x.new_full((len(x), ), level), condition)
        ratio = following / level
        ahead = found
        if before is not None and following:
            # Steps are even in the logarithm of the level; half of one lies ahead on average.
            share = math.log(ratio) / (2 * math.log(last_ratio))
            ahead = found + share * (found - before)
        x = ratio**2 * x + (1 - ratio**2) * ahead
        if following:
            x = x + following * math.sqrt(1 - ratio**2) * denoiser.open(noise())
        before, last_ratio = found, ratio
    return x
