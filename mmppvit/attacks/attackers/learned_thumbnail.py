"""The thumbnail, upsampled by a network."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, as everywhere
from torch import Tensor, nn

from mmppvit.attacks.attackers.interface import Attacker, Budget, Pair, Reconstruction
from mmppvit.attacks.attackers.thumbnail import ThumbnailAttacker, upsample_means
from mmppvit.attacks.networks.restoration import in_bfloat16, restoration_loss, to_image, to_tensor
from mmppvit.attacks.networks.training import PairSampler, initial_weights, split_pairs, train
from mmppvit.encryption import Scheme

__all__ = ['LearnedThumbnail']


class _Upsampler(nn.Module):
    """Bicubic upsampling of means, and what a convolutional network adds to it."""

    def __init__(self, patch_size: int, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1)) for _ in range(4))
        self.head = nn.Conv2d(width, 3 * patch_size**2, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.patch_size = patch_size

    def forward(self, means: Tensor, start: Tensor) -> Tensor:
        """(B, 3, h, w) and (B, 3, h * P, w * P) -> (B, 3, h * P, w * P)."""
        return start + self._detail(means)

    @in_bfloat16
    def _detail(self, means: Tensor) -> Tensor:
        x = self.stem(means)
        for block in self.blocks:
            x = x + block(x)
        return F.pixel_shuffle(self.head(F.silu(x)), self.patch_size)


class LearnedThumbnail(Attacker):
    """The thumbnail, upsampled by a small residual network that was trained on pairs."""
    name = 'thumbnail-learned'
    title = 'Learned thumbnail: the mean of every patch, upsampled by a trained network'
    needs = 'pairs of images that it encrypts itself'

    def __init__(self, scheme: Scheme, seed: int = 0, max_steps: int = 4000) -> None:
        super().__init__(scheme, seed)
        self.max_steps = max_steps
        self._thumbnail = ThumbnailAttacker(scheme)
        with initial_weights(seed):
            self._net = _Upsampler(scheme.patch_size)
        self._net.to(torch.get_default_device())

    @classmethod
    def not_for(cls, scheme: Scheme) -> str | None:
        return ThumbnailAttacker.not_for(scheme)

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        learn, held = split_pairs(pairs, self.seed)
        sampler = PairSampler(self.scheme, learn, self.seed)

        def loss() -> Tensor:
            crops = sampler.crops(8, 8 * self.scheme.patch_size)
            restored = self._restore([crop.encrypted for crop in crops])
            return restoration_loss(restored, to_tensor(np.stack([c.plain for c in crops])))

        def validate() -> float:
            return float(np.mean([restoration_loss(
                self._restore([pair.encrypted]), to_tensor(pair.plain)).item() for pair in held]))

        self.error = train(self._net, loss, validate, budget, self.max_steps)

    def _restore(self, encrypted: Sequence[np.ndarray]) -> Tensor:
        means = np.stack([self._thumbnail.means(img) for img in encrypted])
        start = np.stack([upsample_means(m, self.scheme.patch_size) for m in means])
        return self._net(to_tensor(means), to_tensor(start))

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        with torch.inference_mode():
            return Reconstruction(to_image(self._restore([encrypted])[0]))
