"""Feature reconstruction (FR): the most probable image that encrypts to the one given."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, as everywhere
from torch import Tensor

from mmppvit.attacks.attackers.interface import Attacker, Budget, Pair, Reconstruction
from mmppvit.attacks.networks.default_device import on_device, on_gpu
from mmppvit.attacks.networks.initial_image import InitialImage
from mmppvit.attacks.networks.restoration import KnownMixing, to_image, to_tensor
from mmppvit.encryption import Scheme, split_patches

__all__ = ['FeatureReconstruction', 'LinearForward', 'total_variation']

_SAMPLES = 20000  # equations of a regression


def total_variation(img: Tensor, power: float = 1., smooth: float = .01) -> Tensor:
    """Sum over pixels of ``(|gradient|^2 + smooth^2)^(power / 2)``; (B, C, H, W) of range 1."""
    down = F.pad(img[:, :, 1:] - img[:, :, :-1], (0, 0, 0, 1))
    right = F.pad(img[:, :, :, 1:] - img[:, :, :, :-1], (0, 1))
    # Channels together: edges of colors lie in the same place.
    squares = (down**2 + right**2).sum(1)
    return (squares + smooth**2).pow(power / 2).sum()


class LinearForward:
    """An encryption of images in order as a linear map per channel, found by regression.

    Two kinds of map are tried: the encrypted patch from the plain patch (mixing, pixelation,
    downsampling), and a convolution (blur, noise on top of anything); that with the smaller
    residual is taken.

    Args:
        scheme (Scheme): Only its sizes are looked at.
        pairs (Sequence[Pair]): At least one.
        seed (int): Of the draw of equations.
    """
    _MARGIN = 16  # pixels of the plain image around what one encrypted pixel covers

    def __init__(self, scheme: Scheme, pairs: Sequence[Pair], seed: int = 0) -> None:
        self.size, self.side, self.grid = scheme.patch_size, scheme.side, scheme.grid
        rng = np.random.default_rng(seed)
        fits = [_regress(*self._patches(pairs, rng)), _regress(*self._windows(pairs, rng))]
        weights, deviations = zip(*fits, strict=True)
        self.by_patch = deviations[0] <= deviations[1]
        self.deviation = max(min(deviations), 1 / 255)
        self._matrix = on_device(weights[0].astype(np.float32))
        width = self.grid + 2 * self._MARGIN
        self._kernel = on_device(weights[1].astype(np.float32)).reshape(1, 1, width, width)

    def _patches(self, pairs: Sequence[Pair],
                 rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        plain, encrypted = (np.concatenate([
            split_patches(getattr(pair, name), side).transpose(0, 1, 4, 2, 3).reshape(-1, side**2)
            for pair in pairs]) for name, side in (('plain', self.size), ('encrypted', self.side)))
        chosen = rng.permutation(len(plain))[:_SAMPLES]
        return plain[chosen] / 255 - .5, encrypted[chosen] / 255 - .5

    def _windows(self, pairs: Sequence[Pair],
                 rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        width = self.grid + 2 * self._MARGIN
        x, y = [], []
        for pair in pairs:
            margins = ((self._MARGIN, ) * 2, (self._MARGIN, ) * 2, (0, 0))
            padded = np.pad(pair.plain, margins, 'edge')
            height, length = pair.encrypted.shape[:2]
            places = [rng.integers(extent, size=-(-_SAMPLES // len(pairs)))
                      for extent in (height, length, 3)]
            windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width), (0, 1))
            x.append(windows[places[0] * self.grid, places[1] * self.grid, places[2]])
            y.append(pair.encrypted[places[0], places[1], places[2]])
        return (np.concatenate(x).reshape(-1, width**2) / 255 - .5,
                np.concatenate(y)[:, None] / 255 - .5)

    def __call__(self, plain: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / grid, W / grid)."""
        batch, channels, height, width = plain.shape
        if not self.by_patch:
            lines = F.pad(plain, (self._MARGIN, ) * 4, mode='replicate')
            extent = lines.shape[2:]
            # Through Fourier space, as the kernel is large; what wraps around is cut away.
            kernel = torch.fft.rfft2(self._kernel, extent).conj()
            found = torch.fft.irfft2(torch.fft.rfft2(lines) * kernel, extent)
            return found[:, :, :height:self.grid, :width:self.grid]
        patches = F.unfold(plain.reshape(-1, 1, height, width), self.size, stride=self.size)
        mapped = self._matrix.T @ patches
        out = (height // self.grid, width // self.grid)
        return F.fold(mapped, out, self.side, stride=self.side).reshape(batch, channels, *out)


def _regress(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Ridge regression: weights, and the deviation of the residuals on a fifth held out."""
    held = len(x) // 5
    gram = x[held:].T @ x[held:]
    ridge = 1e-4 * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram + ridge, x[held:].T @ y[held:])
    return weights, float(np.sqrt(np.mean((y[:held] - x[:held] @ weights)**2)))


class FeatureReconstruction(Attacker):
    """The image of least total variation that encrypts to the one given, by gradient descent.

    This is the classical maximum-a-posteriori inversion: a prior on images, here the total
    variation of color, and the encryption as a known map. Of mixed images the map is known
    exactly and every step ends on the images that meet it; of others in order it is regressed
    from pairs (:class:`LinearForward`), and its residuals say how far it is to be met.

    The literature's feature-reconstruction attack (Chang and Case, arXiv 2004.13263; used on
    learned transformations by Ito et al., IEEE Access 2021) needs no pairs either and looks for
    the edges that an encryption of single pixels keeps: it undoes the negation of pixels by
    choosing, of each value and its complement, the one below half. There is no negation here, so
    that step would find nothing; what is shared is the idea, to reconstruct from the structure
    that the encryption is known to keep.
    """
    name = 'fr'
    title = 'Feature reconstruction: the smoothest image that encrypts to the one given'
    needs = 'the sealed images alone; pairs that it encrypts itself where nothing is mixed'

    _GRADIENT = .03  # mean of the total variation per pixel of photographs, of range 1

    def __init__(self, scheme: Scheme, seed: int = 0, steps: int = 200) -> None:
        super().__init__(scheme, seed)
        self.steps = steps
        self._starter = InitialImage(scheme)
        self._mixing = KnownMixing(scheme) if KnownMixing.applies(scheme) else None
        self._forward: LinearForward | None = None

    @classmethod
    def not_for(cls, scheme: Scheme) -> str | None:
        if scheme.shuffles:
            return 'every order of the patches encrypts to the shuffled image'
        if scheme.centers and scheme.normalize:
            return 'normalized contrasts are no linear map of the image'
        return None

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        """Find the map where it is not known; takes seconds, so the budget is not asked.

        Where centering took the means, their integration is learned as well.
        """
        if pairs:
            self._starter.fit(pairs)
        if self._mixing is None:
            self._forward = LinearForward(self.scheme, pairs, self.seed)

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        return Reconstruction(to_image(self.invert(encrypted[None])[0]))

    def invert(self, encrypted: np.ndarray, steps: int | None = None) -> Tensor:
        """Reconstruct images of one size: uint8 (B, h, w, 3) -> (B, 3, H, W), -0.5 to 0.5.

        ``steps`` of gradient descent, by default those of the attacker.

        Raises:
            RuntimeError: The scheme is not a known map, and :meth:`fit` has not found it.
        """
        if self._mixing is None and self._forward is None:
            raise RuntimeError(f'{self.name} has to be fitted before it attacks {self.scheme.name}')
        given = to_tensor(encrypted)
        start = np.stack([self._starter(img) for img in encrypted])
        free = to_tensor(start).requires_grad_()
        optimizer = torch.optim.Adam([free], fused=on_gpu())
        steps = self.steps if steps is None else steps
        for step in range(steps):
            optimizer.param_groups[0]['lr'] = .01 * (1 + math.cos(math.pi * step / steps))
            loss = self._improbability(self._met(free, given), given)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return self._met(free.detach(), given)

    def _met(self, free: Tensor, given: Tensor) -> Tensor:
        return free if self._mixing is None else self._mixing.project(free, given)

    def _improbability(self, img: Tensor, given: Tensor) -> Tensor:
        loss = total_variation(img) / self._GRADIENT
        if self._forward is not None:
            missed = self._forward(img) - given
            loss = loss + (missed**2).sum() / (2 * self._forward.deviation**2)
        return loss
