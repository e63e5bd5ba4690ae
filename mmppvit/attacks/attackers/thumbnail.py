"""The thumbnail that the means of the patches make, also where centering left a share of them."""
from __future__ import annotations

import cv2
import numpy as np

from mmppvit.attacks.attackers.interface import Attacker, Reconstruction
from mmppvit.encryption import MIDDLE_LEVEL, Scheme, check_whole_patches, split_patches

__all__ = ['ThumbnailAttacker', 'patch_means', 'uncenter_patches', 'upsample_means']


def patch_means(img: np.ndarray, side: int) -> np.ndarray:
    """Means of the patches of ``img`` (H, W, C), float64 (H / side, W / side, C)."""
    return split_patches(img, side).mean((2, 3), dtype=np.float64)


def upsample_means(means: np.ndarray, patch_size: int) -> np.ndarray:
    """(h, w, 3) -> float32 (h * patch_size, w * patch_size, 3), bicubic, between 0 and 255."""
    size = (means.shape[1] * patch_size, means.shape[0] * patch_size)
    up = cv2.resize(means.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.clip(up, 0, 255)


def uncenter_patches(img: np.ndarray, side: int, strength: float,
                     normalized: bool = False, gain: float = 1.) -> np.ndarray:
    """Undo :func:`mmppvit.encryption.center_patches` of a strength below 1.

    Centering adds a whole number ``o = floor(strength * (128 - mean) + 1/2)`` to the patch. About
    1 / (1 - strength) neighboring numbers lead to the very same patch; of them the middle one is
    taken away again, so what comes back is off by half of that at most, with the texture exact.
    Where the patch saturated, neither holds. Of normalized patches the means come back up to
    rounding, and the contrast does not; of those with a gain both come back up to rounding.

    Args:
        img (ndarray): uint8 (H, W, C), sides multiples of ``side``.
        side (int): Side of a patch in pixels of ``img``.
        strength (float): At least 0 and less than 1.
        normalized (bool): As the image was.
        gain (float): As of the image.

    Returns:
        ndarray: float32 (H, W, C), between 0 and 255.

    Raises:
        ValueError: All of the means is gone, or the patch does not divide the image.
    """
    if not 0 <= strength < 1:
        raise ValueError(f'center strength {strength} leaves nothing of the means to go by')
    check_whole_patches(img.shape, side)
    means = patch_means(img, side)
    wanted = MIDDLE_LEVEL + (means - MIDDLE_LEVEL) / (1 - strength)
    offset = means - wanted
    if gain != 1:
        img = means.repeat(side, 0).repeat(side, 1) * (1 - 1 / gain) + img / gain
    elif not normalized:
        offset = _whole_offset(means, np.rint(offset), strength)
    out = img - np.kron(offset, np.ones((side, side, 1)))
    return np.clip(out, 0, 255).astype(np.float32)


def _whole_offset(means: np.ndarray, guess: np.ndarray, strength: float) -> np.ndarray:
    """The middle one of the offsets near ``guess`` that centering could have added."""
    reach = int(np.ceil(1 / (1 - strength))) + 1
    offsets = guess[..., None] + np.arange(-reach, reach + 1)
    added = np.floor(strength * (MIDDLE_LEVEL - (means[..., None] - offsets)) + .5)
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
                encrypted, scheme.side, scheme.center_strength, scheme.normalize, scheme.gain)
        return patch_means(encrypted, scheme.side)

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        up = upsample_means(self.means(encrypted), self.scheme.patch_size)
        return Reconstruction(np.rint(up).astype(np.uint8))
