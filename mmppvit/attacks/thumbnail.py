"""Thumbnails: what the means of the patches show, and how to find them where they were taken."""
from __future__ import annotations

from collections.abc import Sequence

from mmppvit.attacks.attacker import Attacker, Budget, Pair, Recovery
from mmppvit.attacks.networks import in_bfloat16, restoration_loss, to_image, to_tensor
from mmppvit.attacks.training import PairSampler, seeded, split_pairs, train
from mmppvit.encryption import LEARNED, Scheme, check_whole_patches, split_patches

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, as everywhere
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor, nn

__all__ = ['LearnedThumbnail', 'PoissonThumbnail', 'Starter', 'ThumbnailAttacker',
           'patch_means', 'uncenter_patches', 'upsample_means']

_LEVEL = 128  # where centering puts patches without means


def patch_means(img: np.ndarray, side: int) -> np.ndarray:
    """Means of the patches of ``img`` (H, W, C), float64 (H / side, W / side, C)."""
    return split_patches(img, side).mean((2, 3), dtype=np.float64)


def upsample_means(means: np.ndarray, patch_size: int) -> np.ndarray:
    """(h, w, 3) -> float32 (h * patch_size, w * patch_size, 3), bicubic, between 0 and 255."""
    size = (means.shape[1] * patch_size, means.shape[0] * patch_size)
    up = cv2.resize(means.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.clip(up, 0, 255)


def uncenter_patches(img: np.ndarray, side: int, strength: float,
                     normalized: bool = False) -> np.ndarray:
    """Undo :func:`mmppvit.encryption.center_patches` of a strength below 1.

    Centering adds a whole number ``o = floor(strength * (128 - mean) + 1/2)`` to the patch. About
    1 / (1 - strength) neighbouring numbers lead to the very same patch; of them the middle one is
    taken away again, so what comes back is off by half of that at most, with the texture exact.
    Where the patch saturated, neither holds. Of normalized patches the means come back up to
    rounding, and the contrast does not.

    Args:
        img (ndarray): uint8 (H, W, C), sides multiples of ``side``.
        side (int): Side of a patch in pixels of ``img``.
        strength (float): At least 0 and less than 1.
        normalized (bool): As the picture was.

    Returns:
        ndarray: float32 (H, W, C), between 0 and 255.

    Raises:
        ValueError: All of the means is gone, or the patch does not divide the image.
    """
    if not 0 <= strength < 1:
        raise ValueError(f'center strength {strength} leaves nothing of the means to go by')
    check_whole_patches(img.shape, side)
    means = patch_means(img, side)
    wanted = _LEVEL + (means - _LEVEL) / (1 - strength)
    offset = means - wanted
    if not normalized:
        offset = _whole_offset(means, np.rint(offset), strength)
    out = img - np.kron(offset, np.ones((side, side, 1)))
    return np.clip(out, 0, 255).astype(np.float32)


def _whole_offset(means: np.ndarray, guess: np.ndarray, strength: float) -> np.ndarray:
    """The middle one of the offsets near ``guess`` that centering could have added."""
    reach = int(np.ceil(1 / (1 - strength))) + 1
    offsets = guess[..., None] + np.arange(-reach, reach + 1)
    added = np.floor(strength * (_LEVEL - (means[..., None] - offsets)) + .5)
    fits = added == offsets
    count = fits.sum(-1)
    middle = np.floor((fits * offsets).sum(-1) / np.maximum(count, 1) + .5)
    return np.where(count > 0, middle, guess)


class ThumbnailAttacker(Attacker):
    """The mean of every patch, upsampled: the floor of what mixing leaks.

    Mixing keeps the means up to the rounding of its pixels, and centering of a strength below 1
    keeps a share of them, which is scaled back first. It needs no training.
    """
    name = 'thumbnail'
    title = 'Thumbnail: the mean of every patch, upsampled bicubically'

    @classmethod
    def not_for(cls, scheme: Scheme) -> str | None:
        if scheme.shuffles:
            return 'the means of shuffled patches are in no order, so they make no thumbnail'
        if scheme.centers and scheme.center_strength == 1:
            return 'centering of strength 1 took the means away'
        return None

    def means(self, encrypted: np.ndarray) -> np.ndarray:
        """Means of the plain patches, float64 (rows, cols, 3)."""
        scheme = self.scheme
        if scheme.centers:
            encrypted = uncenter_patches(
                encrypted, scheme.side, scheme.center_strength, scheme.normalize)
        return patch_means(encrypted, scheme.side)

    def recover(self, encrypted: np.ndarray) -> Recovery:
        up = upsample_means(self.means(encrypted), self.scheme.patch_size)
        return Recovery(np.rint(up).astype(np.uint8))


class PoissonThumbnail(Attacker):
    """The thumbnail of fully centered patches, found again from how neighbours fit.

    Each patch's texture has a slope at its border, from which the step of the mean to the next
    patch is foretold: by the slopes alone, or, after :meth:`fit`, by the linear regression on
    both patches' profiles across the border. All steps and the means of the training pictures
    (128 without) are then met in the sense of least squares, each weighted by how far it could be
    trusted in training: a screened Poisson equation on the grid of patches, per channel.
    """
    name = 'poisson'
    title = 'Poisson: means that centering took away, integrated from the slopes of the patches'

    # Variances of a step around the foretold one and of a mean around the picture's; 8-bit units.
    _STEP, _MEAN = 20.**2, 55.**2

    def __init__(self, scheme: Scheme, seed: int = 0) -> None:
        super().__init__(scheme, seed)
        side = scheme.side
        # Slope of least squares over the profile of either patch; a step is a whole patch wide.
        ramp = np.arange(side) - (side - 1) / 2
        slope = ramp / max((ramp**2).sum(), 1e-9) * scheme.patch_size / 2
        self._weights = np.concatenate([slope, slope])
        self._step, self._spread, self._level = self._STEP, self._MEAN, np.full(3, float(_LEVEL))

    @classmethod
    def not_for(cls, scheme: Scheme) -> str | None:
        if scheme.shuffles:
            return 'the neighbours of shuffled patches are not known'
        if not (scheme.centers and scheme.center_strength == 1):
            return 'no means were taken away, or a share is left to scale: see the thumbnail'
        return None

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        """Regress steps of the means on profiles; exact and quick, so the budget is not asked."""
        profiles, steps, means = [], [], []
        for pair in pairs:
            plain = patch_means(pair.plain, self.scheme.patch_size)
            means.append(plain.reshape(-1, 3))
            for axis in (0, 1):
                found = self._profiles(pair.encrypted, axis)
                profiles.append(found.reshape(-1, found.shape[-1]))
                steps.append(np.diff(plain, axis=axis).reshape(-1))
        x, y, means = np.concatenate(profiles), np.concatenate(steps), np.concatenate(means)
        if not len(y):
            return
        self._weights = np.linalg.solve(x.T @ x + 1e-3 * len(y) * np.eye(x.shape[1]), x.T @ y)
        self._step = max(float(np.mean((y - x @ self._weights)**2)), 1e-3)
        self._level = means.mean(0)
        self._spread = max(float(means.var(0).mean()), 1e-3)

    def _profiles(self, encrypted: np.ndarray, axis: int) -> np.ndarray:
        """(rows, cols, 3, 2 * side) of the two patches at each border on ``axis``."""
        patches = split_patches(encrypted, self.scheme.side).astype(np.float64)
        lines = np.moveaxis(patches.mean(3 - axis), 2, 3)
        lines = lines - lines.mean(-1, keepdims=True)
        before, after = (lines[:-1], lines[1:]) if axis == 0 else (lines[:, :-1], lines[:, 1:])
        return np.concatenate([before, after], -1)

    def means(self, encrypted: np.ndarray) -> np.ndarray:
        """Means of the plain patches, float64 (rows, cols, 3)."""
        rows, cols = (extent // self.scheme.side for extent in encrypted.shape[:2])
        eyes = sparse.identity(rows), sparse.identity(cols)
        down = sparse.kron(_differences(rows), eyes[1])
        right = sparse.kron(eyes[0], _differences(cols))
        steps = [(self._profiles(encrypted, axis) @ self._weights).reshape(-1, 3)
                 for axis in (0, 1)]
        screen = self._step / self._spread
        normal = down.T @ down + right.T @ right + screen * sparse.identity(rows * cols)
        wanted = down.T @ steps[0] + right.T @ steps[1]
        found = splu(sparse.csc_matrix(normal)).solve(np.asarray(wanted, np.float64))
        return (found + self._level).reshape(rows, cols, 3)

    def recover(self, encrypted: np.ndarray) -> Recovery:
        up = upsample_means(self.means(encrypted), self.scheme.patch_size)
        return Recovery(np.rint(up).astype(np.uint8))


def _differences(count: int) -> sparse.spmatrix:
    """(count - 1, count): each row is the next less this one."""
    return sparse.diags([-np.ones(count - 1), np.ones(count - 1)], [0, 1],
                        shape=(count - 1, count))


class Starter:
    """The picture that networks begin with: the best that needs no network.

    Of mixed pictures in order that is the thumbnail, integrated where centering took the means; of
    others in order the encrypted picture, resized, and blurred where noise was added; of shuffled
    ones the mean colour. What a trained network protected looks like nothing plain: after
    :meth:`fit` it is the colours that are foretold from the protected ones.

    Args:
        scheme (Scheme): Of the pictures.
        ordered (bool): Whether their patches are in order; by default as the scheme has it.
    """

    def __init__(self, scheme: Scheme, ordered: bool | None = None) -> None:
        self.scheme = scheme
        self.ordered = not scheme.shuffles if ordered is None else ordered
        gone = scheme.centers and scheme.center_strength == 1
        self._means = PoissonThumbnail(scheme) if gone else ThumbnailAttacker(scheme)
        self._colours: np.ndarray | None = None

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Learn from pairs how to integrate, or which colours became which; of pairs in order."""
        if self.scheme.name == LEARNED:
            self._colours = _fit_colours(pairs)
        elif self.ordered:
            self._means.fit(pairs, Budget())

    def __call__(self, encrypted: np.ndarray) -> np.ndarray:
        """uint8 (h, w, 3) -> float32 (H, W, 3) of range 255."""
        height, width = (extent * self.scheme.grid for extent in encrypted.shape[:2])
        if not self.ordered:
            mean = encrypted.mean((0, 1), dtype=np.float32)
            return np.broadcast_to(mean, (height, width, 3))
        if self.scheme.mixes:
            return upsample_means(self._means.means(encrypted), self.scheme.patch_size)
        if self._colours is not None:
            foretold = _colour_terms(encrypted) @ self._colours
            return np.clip(foretold, 0, 255).astype(np.float32)
        up = cv2.resize(encrypted, (width, height), interpolation=cv2.INTER_CUBIC)
        if self.scheme.name == 'noise':
            # A bell of this width leaves 5 levels of white noise.
            up = cv2.GaussianBlur(up, (0, 0), max(self.scheme.strength / (2 * np.pi**.5 * 5), .1))
        return up.astype(np.float32)


def _fit_colours(pairs: Sequence[Pair], pixels: int = 4000) -> np.ndarray:
    """Least squares from :func:`_colour_terms` to plain colours, float64 (terms, 3)."""
    rng = np.random.default_rng(0)
    terms, colours = [], []
    for pair in pairs:
        chosen = rng.integers(pair.plain.shape[0] * pair.plain.shape[1], size=pixels)
        terms.append(_colour_terms(pair.encrypted).reshape(-1, 19)[chosen])
        colours.append(pair.plain.reshape(-1, 3)[chosen])
    terms, colours = np.concatenate(terms), np.concatenate(colours).astype(np.float64)
    # Where a term is constant, or two are equal, any of the solutions will do.
    damped = terms.T @ terms + 1e-6 * len(terms) * np.eye(terms.shape[1])
    return np.linalg.solve(damped, terms.T @ colours)


def _colour_terms(protected: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) -> float64 (H, W, 19): local colours at three widths, and their squares."""
    img = protected.astype(np.float32) / 127.5 - 1
    local = np.concatenate([cv2.GaussianBlur(img, (0, 0), sigma) for sigma in (1, 3, 9)], 2)
    return np.concatenate([local, local**2, np.ones_like(local[..., :1])], 2, dtype=np.float64)


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
    needs = 'pairs of pictures that it encrypts itself'

    def __init__(self, scheme: Scheme, seed: int = 0, max_steps: int = 4000) -> None:
        super().__init__(scheme, seed)
        self.max_steps = max_steps
        self._thumbnail = ThumbnailAttacker(scheme)
        with seeded(seed):
            self._net = _Upsampler(scheme.patch_size)

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

        train(self._net, loss, validate, budget, self.max_steps)

    def _restore(self, encrypted: Sequence[np.ndarray]) -> Tensor:
        means = np.stack([self._thumbnail.means(img) for img in encrypted])
        start = np.stack([upsample_means(m, self.scheme.patch_size) for m in means])
        return self._net(to_tensor(means), to_tensor(start))

    def recover(self, encrypted: np.ndarray) -> Recovery:
        with torch.inference_mode():
            return Recovery(to_image(self._restore([encrypted])[0]))
