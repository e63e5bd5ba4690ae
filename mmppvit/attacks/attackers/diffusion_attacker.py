"""Diffusion: plain images are drawn from those that are probable and encrypt to the given one."""
from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, as everywhere
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mmppvit.attacks.attackers.feature_reconstruction import FeatureReconstruction
from mmppvit.attacks.attackers.interface import Attacker, Budget, Pair, Reconstruction
from mmppvit.attacks.networks.diffusion import LEVELS, NOTHING, Denoiser, sample
from mmppvit.attacks.networks.initial_image import InitialImage
from mmppvit.attacks.networks.restoration import KnownMixing, to_image, to_tensor
from mmppvit.attacks.networks.training import (
    PairSampler,
    initial_weights,
    part_of,
    seeded,
    split_pairs,
    train,
)
from mmppvit.attacks.networks.window_stock import WindowStock, triple
from mmppvit.encryption import Scheme

__all__ = ['DiffusionAttacker']

_Triple = tuple[Tensor, Tensor, Tensor]  # encrypted, start and plain, (B, 3, ., .) each
_CHECKED = (.05, .2, .7, 3., NOTHING)  # noise levels of the error


class DiffusionAttacker(Attacker):
    """A generative prior: images of the domain, drawn among those that encrypt to the given one.

    A conditional diffusion model (:class:`mmppvit.attacks.networks.diffusion.Denoiser`) learns from
    pairs that the attacker encrypts which plain images are probable, given the encrypted one and
    what feature reconstruction makes of it where images were mixed, of which a stock is made in the
    first fifth of the time, or :class:`InitialImage` elsewhere. The inverse network gives their
    mean, which is blurred wherever the encryption leaves a choice; this one draws, and what it
    draws looks like an image.
    Where mixing or downsampling is known, the model is of the null space alone, so that the result
    encrypts to the given image but for rounding; elsewhere, of several draws that is taken which
    does so best when it is encrypted again.

    Draws begin with as much noise as makes them rough where photographs are: after few steps of
    learning with little, so that they are near the mean.

    A draw is no average: its PSNR is lower than that of the mean by about 3 dB where both know the
    same. ``average`` draws gives the mean again.

    Args:
        scheme (Scheme): How the images were encrypted.
        seed (int): Of all random draws.
        width (int, optional): Channels of the U-Net's first level; by default 32, and 96 on an
            accelerator.
        depth (int, optional): Its blocks a level; by default 1, and 2 on an accelerator.
        batch (int, optional): Windows of a step; by default 8, and 64 on an accelerator.
        max_steps (int): Of training, where the budget allows more.
        window (int, optional): About the side of a window in pixels; by default 64, and 128 on an
            accelerator.
        stock (int, optional): Feature reconstructions to learn from, at most; by default 800, and
            4096 on an accelerator.
        draw_steps (int): Calls of the network for each draw.
        candidates (int): Draws to choose from where the scheme is no known map.
        average (int): Draws to take the mean of.
    """
    name = 'diffusion'
    title = 'Diffusion: draws an image of the domain that encrypts to the given one'
    needs = 'pairs of images that it encrypts itself'

    def __init__(self, scheme: Scheme, seed: int = 0, width: int | None = None,
                 depth: int | None = None, batch: int | None = None, max_steps: int = 50000,
                 window: int | None = None, stock: int | None = None, draw_steps: int = 30,
                 candidates: int = 3, average: int = 1) -> None:
        super().__init__(scheme, seed)
        fast = torch.get_default_device().type != 'cpu'
        self.max_steps, self.draw_steps = max_steps, draw_steps
        self.width = width or (96 if fast else 32)
        self.window = window or (128 if fast else 64)
        self.batch, self.stock = batch or (64 if fast else 8), stock or (4096 if fast else 800)
        self.candidates, self.average = candidates, average
        with initial_weights(seed):
            self._net = Denoiser(scheme, self.width, depth or (2 if fast else 1))
        self._net.to(torch.get_default_device())
        self._largest = LEVELS[0]
        self._starter = InitialImage(scheme)
        self._reconstruction = None
        if KnownMixing.applies(scheme):
            self._reconstruction = FeatureReconstruction(scheme, seed, steps=100)

    @classmethod
    def not_for(cls, scheme: Scheme) -> str | None:
        if scheme.shuffles:
            return 'a prior of images needs the patches in order: see the jigsaw solvers'
        return None

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        learn, held = split_pairs(pairs, self.seed)
        if self._reconstruction is None:
            self._starter.fit(learn)
        else:
            self._reconstruction.fit(learn, budget)
        # Turned images are none of the domain; those of a learned protector are not turned at all.
        sampler = PairSampler(self.scheme, learn, self.seed, turn=False)
        checked = triple(PairSampler(self.scheme, held, self.seed, turn=False).crops(
            2 * self.batch, self.window), self._start)
        with seeded(self.seed), self._make_stock(sampler, budget) as stock:
            self._net.fit_spread(self._net.prepare(*checked[:2])[0], checked[2])
            average = copy.deepcopy(self._net).requires_grad_(False).eval()
            steps = itertools.count()

            def loss() -> Tensor:
                _follow(average, self._net, next(steps))
                return self._loss(self._net, stock.draw())

            self.error = train(nn.ModuleList([self._net, average]), loss,
                               lambda: self._error(average, checked), budget,
                               self.max_steps, lr=1e-3 * (32 / self.width)**.5)
            self._net.load_state_dict(average.state_dict())
        self._largest = self._choose_level(checked)

    def _make_stock(self, sampler: PairSampler, budget: Budget) -> WindowStock:
        quick = self._reconstruction is None
        stock = WindowStock(sampler, self._start, self.window, self.batch,
                            max(1, self.batch // 16) if quick else 0,
                            128 if quick else self.stock, not self.scheme.needs_protector)
        if not quick:
            stock.fill(part_of(budget, .2))
        return stock

    def _start(self, encrypted: np.ndarray) -> Tensor:
        if self._reconstruction is not None:
            with torch.enable_grad():
                return self._reconstruction.invert(encrypted)
        return to_tensor(np.stack([self._starter(img) for img in encrypted]))

    @staticmethod
    def _loss(net: Denoiser, drawn: _Triple) -> Tensor:
        encrypted, start, plain = drawn
        start, spread, condition = net.prepare(encrypted, start)
        # Levels where most of an image is decided are seen most often, and the mean, to begin with.
        levels = (1.4 * torch.randn(len(plain), device=plain.device) - .7).exp()
        levels[torch.rand(len(plain), device=plain.device) < .1] = NOTHING
        return net.loss(net.to_draw(plain - start, spread), condition, levels,
                        torch.randn_like(plain))

    def _error(self, net: Denoiser, checked: _Triple) -> float:
        """The loss on images held out, at fixed levels of fixed noise."""
        generator = torch.Generator('cpu').manual_seed(self.seed)
        noise = _noise(generator, checked[2].shape, checked[2].device)
        found = []
        for level in _CHECKED:
            for encrypted, start, plain, added in zip(
                    *(part.split(self.batch) for part in (*checked, noise)), strict=True):
                start, spread, condition = net.prepare(encrypted, start)
                levels = plain.new_full((len(plain), ), level)
                found.append(net.loss(
                    net.to_draw(plain - start, spread), condition, levels, added).item())
        return float(np.mean(found))

    @torch.no_grad()
    def _choose_level(self, checked: _Triple) -> float:
        """Where to begin draws, so that they are rough where photographs are, and nowhere else.

        The mean lacks detail; after few steps of learning, draws from much noise keep some of it.
        """
        encrypted, start, plain = (part[:self.batch] for part in checked)
        start, spread, condition = self._net.prepare(encrypted, start)
        errors = []
        for level in LEVELS:
            generator = torch.Generator('cpu').manual_seed(self.seed)
            found = sample(self._net, condition, min(self.draw_steps, 10), lambda: _noise(
                generator, start.shape, start.device), level)  # noqa: B023, called here
            drawn = (start + self._net.drawn(found, spread)).clamp(-.5, .5)
            errors.append(F.l1_loss(_roughness(drawn), _roughness(plain)).item())
        return LEVELS[int(np.argmin(errors))]

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        if self._net.known is not None:
            return Reconstruction(self.draw(encrypted, self.seed))
        draws = [self.draw(encrypted, self.seed + k) for k in range(self.candidates)]
        missed = [np.abs(self.scheme.in_order(img).astype(np.int16) - encrypted).mean()
                  for img in draws]
        return Reconstruction(draws[int(np.argmin(missed))])

    @torch.no_grad()
    def draw(self, encrypted: np.ndarray, seed: int) -> np.ndarray:
        """One image, or the mean of ``average``: uint8 (h, w, 3) -> uint8 (H, W, 3)."""
        given, start = to_tensor(encrypted), self._start(encrypted[None])
        start, spread, condition = self._net.prepare(given, start)
        generator = torch.Generator('cpu').manual_seed(seed)
        steps = self._affordable(start)
        found = sum(sample(
            self._net, condition, steps, lambda: _noise(generator, start.shape, start.device),
            self._largest) for _ in range(self.average)) / self.average
        return to_image(self._within_range(start + self._net.drawn(found, spread), given)[0])

    def _affordable(self, img: Tensor) -> int:
        """Fewer steps for large images on a CPU, where 30 would take minutes each."""
        if img.device.type != 'cpu':
            return self.draw_steps
        return max(min(self.draw_steps, 8), min(self.draw_steps,
                                                self.draw_steps * 2**17 // img[0, 0].numel()))

    def _within_range(self, img: Tensor, encrypted: Tensor) -> Tensor:
        """Alternate between images of 0 to 255 and those that encrypt to the given one."""
        if self._net.known is not None:
            for _ in range(20):
                img = self._net.known.project(img.clamp(-.5, .5), encrypted)
        return img


def _follow(average: nn.Module, net: nn.Module, step: int) -> None:
    """Moving average of the weights, of fewer steps in the beginning: what was learned is old."""
    keep = min((1 + step) / (10 + step), .998)
    get_ema_multi_avg_fn(keep)([*average.parameters()], [*net.parameters()], None)


def _roughness(img: Tensor) -> Tensor:
    """Mean difference of neighboring pixels within areas of 8 pixels a side."""
    down, right = img.diff(dim=2).abs()[..., :-1], img.diff(dim=3).abs()[..., :-1, :]
    return F.avg_pool2d(down + right, 8, ceil_mode=True)


def _noise(generator: torch.Generator, shape: Sequence[int], device: torch.device) -> Tensor:
    """Drawn on the CPU, so that it is the same on every device."""
    return torch.randn(*shape, generator=generator, device='cpu').to(device)
