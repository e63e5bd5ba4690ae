"""GAN attack: unpaired, from encrypted images and photographs of anything."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, as everywhere
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from mmppvit.attacks.attackers.feature_reconstruction import total_variation
from mmppvit.attacks.attackers.interface import Attacker, Budget, Pair, Reconstruction
from mmppvit.attacks.networks.default_device import on_gpu
from mmppvit.attacks.networks.initial_image import InitialImage
from mmppvit.attacks.networks.restoration import RestoringNetwork, to_image, to_tensor
from mmppvit.attacks.networks.training import PairSampler, initial_weights, train
from mmppvit.encryption import Scheme

__all__ = ['AdversarialReconstruction']


_LEAST = 32  # three halvings, and 4x4 places of what is left


def _discriminator(width: int = 32) -> nn.Sequential:
    """Scores of overlapping areas of 46 pixels, (B, 3, H, W) -> (B, 1, ...)."""
    layers, channels = [], 3
    for out in (width, 2 * width, 4 * width):
        layers += [spectral_norm(nn.Conv2d(channels, out, 4, stride=2, padding=1)),
                   nn.LeakyReLU(.2)]
        channels = out
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels, 1, 4)))


class AdversarialReconstruction(Attacker):
    """A generator whose images encrypt to the given ones and pass for photographs.

    It is trained without pairs: encrypted images of one half, plain ones of the other half of
    what it is given, never the two of one image. The discriminator tells its images from the
    photographs (hinge loss). That they belong to the encrypted ones is met exactly where the
    scheme is a known linear map
    (:class:`mmppvit.attacks.networks.restoration.KnownMixing`), and elsewhere asked of
    the means of the patches. Total variation keeps early images from going astray.
    There is nothing to choose the best weights by, so the last are taken.

    It stands for the GAN attack that Ito et al. (IEEE Access 2021) try their protected images
    with, which knows nothing of the encryption.
    """
    name = 'gan'
    title = 'GAN: a generator trained without pairs, on sealed images and other photographs'
    needs = 'sealed images and photographs of other scenes, no pairs'

    _ADVERSARIAL, _VARIATION, _MEANS = .01, .5, 10.

    def __init__(self, scheme: Scheme, seed: int = 0, width: int = 32, max_steps: int = 10000,
                 crop: int = 96) -> None:
        super().__init__(scheme, seed)
        self.max_steps, self.crop = max_steps, crop
        self._starter = InitialImage(scheme)
        with initial_weights(seed):
            self._net = RestoringNetwork(scheme, width)
            self._judge = _discriminator()
        for net in (self._net, self._judge):
            net.to(torch.get_default_device())

    @classmethod
    def not_for(cls, scheme: Scheme) -> str | None:
        if scheme.shuffles:
            return 'without pairs there is nothing to learn the order of shuffled patches from'
        return None

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        if len(pairs) < 2:
            raise ValueError(f'a GAN needs at least 2 images, got {len(pairs)}')
        smallest = min(min(pair.plain.shape[:2]) for pair in pairs)
        if smallest < _LEAST:
            raise ValueError(f'the discriminator looks at areas of {_LEAST} pixels a side or more, '
                             f'and there is an image of {smallest}; leave gan out of --attacks')
        half = len(pairs) // 2
        # Both are cut out by the same rules, which the discriminator must not learn to tell.
        encrypted = PairSampler(self.scheme, pairs[:half], self.seed)
        photographs = PairSampler(self.scheme, pairs[half:], self.seed + 1)
        optimizer = torch.optim.AdamW(self._judge.parameters(), lr=4e-4, betas=(.5, .99),
                                      fused=on_gpu())
        checks = iter(range(1 << 30))

        def loss() -> Tensor:
            real = to_tensor(np.stack([c.plain for c in photographs.crops(8, self.crop)]))
            start, made = self._restore(
                np.stack([c.encrypted for c in encrypted.crops(8, self.crop)]))
            judged = (F.relu(1 - self._judge(real)).mean()
                      + F.relu(1 + self._judge(made.detach())).mean())
            optimizer.zero_grad(set_to_none=True)
            judged.backward()
            optimizer.step()
            return self._generator_loss(start, made)

        train(self._net, loss, lambda: -next(checks), budget, self.max_steps, lr=3e-4)

    def _generator_loss(self, start: Tensor, made: Tensor) -> Tensor:
        loss = -self._ADVERSARIAL * self._judge(made).mean()
        loss = loss + self._VARIATION * total_variation(made) / made[:, 0].numel()
        if self._net.mixing is None:
            size = self.scheme.patch_size
            loss = loss + self._MEANS * F.l1_loss(
                F.avg_pool2d(made, size), F.avg_pool2d(start, size))
        return loss

    def _restore(self, encrypted: np.ndarray) -> tuple[Tensor, Tensor]:
        start = to_tensor(np.stack([self._starter(img) for img in encrypted]))
        return start, self._net(to_tensor(encrypted), start)

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        with torch.inference_mode():
            return Reconstruction(to_image(self._restore(encrypted[None])[1][0]))
