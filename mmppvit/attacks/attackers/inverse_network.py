"""Inverse transformation network (ITN): a U-Net from encrypted to plain images."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmppvit.attacks.attackers.feature_reconstruction import FeatureReconstruction
from mmppvit.attacks.attackers.interface import (
    Attacker,
    Budget,
    BudgetExceeded,
    Pair,
    Reconstruction,
)
from mmppvit.attacks.networks.initial_image import InitialImage
from mmppvit.attacks.networks.restoration import (
    RestoringNetwork,
    restoration_loss,
    to_image,
    to_tensor,
)
from mmppvit.attacks.networks.training import (
    PairSampler,
    initial_weights,
    part_of,
    split_pairs,
    train,
)
from mmppvit.encryption import Scheme

__all__ = ['InverseNetwork']

_Triple = tuple[Tensor, Tensor, Tensor]  # encrypted, start and plain, (B, 3, ., .) each


class InverseNetwork(Attacker):
    """U-Net from the encrypted image to the plain one, trained on pairs with L1 and SSIM.

    The inverse transformation network of Ito et al., *Image to perturbation* (IEEE Access 2021),
    which has MSE, with what makes it stronger here. It learns from cut-outs encrypted anew. Its
    output agrees with what the encrypted image tells for certain. And where mixing is known and
    in order it begins with what feature reconstruction finds, of which a stock is made in the
    first third of the time; elsewhere with what :class:`InitialImage` makes of the encrypted image.

    Against shuffled images it is blind to the order: it learns what is probable anywhere, given
    the colors of the image.

    Args:
        scheme (Scheme): How the images were encrypted.
        seed (int): Of all random draws.
        width (int): Channels of the first level of the U-Net.
        max_steps (int): Steps of training, of 8 cut-outs each, where the budget allows more.
        crop (int): About the side of a cut-out in pixels.
        stock (int): Reconstructions to learn from, at most, where it begins with such.
    """
    name = 'itn'
    title = 'Inverse network: a U-Net trained on pairs (of shuffled images: blind to the order)'
    needs = 'pairs of images that it encrypts itself'

    def __init__(self, scheme: Scheme, seed: int = 0, width: int = 32, max_steps: int = 20000,
                 crop: int = 112, stock: int = 800) -> None:
        super().__init__(scheme, seed)
        self.max_steps, self.crop, self.stock = max_steps, crop, stock
        self._large = round(1.5 * crop)  # of what the cut-outs are cut from
        with initial_weights(seed):
            self._net = RestoringNetwork(scheme, width)
        self._net.to(torch.get_default_device())
        self._reconstruction = None
        if self._net.mixing is not None:
            self._reconstruction = FeatureReconstruction(scheme, seed)
        self._starter = InitialImage(scheme)

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        learn, held = split_pairs(pairs, self.seed)
        sampler = PairSampler(self.scheme, learn, self.seed)
        stock = None
        if self._reconstruction is None:
            self._starter.fit(learn)
            checks = [self._triple([pair]) for pair in held]
        else:
            self._reconstruction.fit(learn, budget)
            chosen = PairSampler(self.scheme, held, self.seed)
            checks = [self._triple(chosen.crops(8, self._large)) for _ in range(2)]
            stock = self._make_stock(sampler, part_of(budget, .33))

        def loss() -> Tensor:
            encrypted, start, plain = (self._triple(sampler.crops(8, self.crop)) if stock is None
                                       else self._cut(stock, sampler.rng))
            return restoration_loss(self._net(encrypted, start), plain)

        def validate() -> float:
            return float(np.mean([restoration_loss(self._net(encrypted, start), plain).item()
                                  for encrypted, start, plain in checks]))

        self.error = train(self._net, loss, validate, budget, self.max_steps)

    def _triple(self, pairs: Sequence[Pair]) -> _Triple:
        encrypted = np.stack([pair.encrypted for pair in pairs])
        plain = to_tensor(np.stack([pair.plain for pair in pairs]))
        return to_tensor(encrypted), self._start(encrypted), plain

    def _start(self, encrypted: np.ndarray, steps: int = 100) -> Tensor:
        if self._reconstruction is not None:
            return self._reconstruction.invert(encrypted, steps)
        return to_tensor(np.stack([self._starter(img) for img in encrypted]))

    def _make_stock(self, sampler: PairSampler, budget: Budget) -> list[_Triple]:
        """Reconstructions of cut-outs, 8 at a time: too slow to make for every step."""
        stock: list[_Triple] = []
        while not budget.exhausted and 8 * len(stock) < self.stock:
            stock.append(self._triple(sampler.crops(8, self._large)))
        if not stock:
            raise BudgetExceeded(f'{budget.seconds:.0f} s are not enough to reconstruct anything '
                                 'to learn from; allow more time')
        return stock

    def _cut(self, stock: list[_Triple], rng: np.random.Generator) -> _Triple:
        """A batch of windows at whole patches, flipped and transposed as mixing permits."""
        size, side = self.scheme.patch_size, self.scheme.side
        extent = stock[0][2].shape[-1] // size
        patches = max(1, min(round(self.crop / size), extent))
        windows = []
        for _ in range(8):
            batch, k = stock[int(rng.integers(len(stock)))], int(rng.integers(8))
            y, x = rng.integers(extent - patches + 1, size=2)
            window = [part[k, :, y * s:(y + patches) * s, x * s:(x + patches) * s]
                      for part, s in zip(batch, (side, size, size), strict=True)]
            flips = [dim for dim in (1, 2) if rng.random() < .5]
            turn = (0, 2, 1) if rng.random() < .5 else (0, 1, 2)
            windows.append([part.flip(flips).permute(turn) for part in window])
        return tuple(torch.stack(parts) for parts in zip(*windows, strict=True))

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        start = self._start(encrypted[None], 200)  # half the steps are enough to learn from
        with torch.inference_mode():
            given = to_tensor(encrypted)
            restored = self._net(given, start)
            if self._net.mixing is not None:  # which commutes with flips
                for dims in ((2, ), (3, ), (2, 3)):
                    flipped = self._net(given.flip(dims), start.flip(dims))
                    restored = restored + flipped.flip(dims)
                restored = restored / 4
            return Reconstruction(to_image(restored[0]))
