"""An image as a bag of patches: which kinds of patches it has, wherever they lie."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from sklearn.cluster import MiniBatchKMeans

from mmppvit.encryption import split_patches

__all__ = ['PatchWords', 'patch_vectors']

_COARSE = 4  # pixels a side that a patch is brought to
_SAMPLED = 40_000  # patches that words are made of, at most


def patch_vectors(img: np.ndarray, side: int) -> np.ndarray:
    """What each patch looks like: coarse colors, contrast, and slopes.

    Args:
        img (ndarray): uint8 (h, w, 3), sides multiples of ``side``.
        side (int): Of a patch in pixels.

    Returns:
        ndarray: float32 (N, 55).
    """
    patches = split_patches(img, side).reshape(-1, side, side, 3).astype(np.float32)
    coarse = np.stack([cv2.resize(patch, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
                       for patch in patches]).reshape(len(patches), -1)
    gray = patches.mean(3)
    slopes = [np.abs(np.diff(gray, axis=axis)).mean((1, 2)) for axis in (1, 2)]
    second = [np.abs(np.diff(gray, 2, axis=axis)).mean((1, 2)) for axis in (1, 2)]
    fine = np.stack([*slopes, *second, *patches.std((1, 2)).T], 1)
    return np.concatenate([coarse / 64, np.log1p(fine)], 1)


class PatchWords:
    """Visual words (Csurka et al. 2004): k-means of patches, and how often an image has each.

    Args:
        bags (Sequence[ndarray]): Of :func:`patch_vectors`, one an image, to make the words of.
        words (int): At most.
        seed (int): Of k-means and of the draw of patches.
    """

    def __init__(self, bags: Sequence[np.ndarray], words: int = 128, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        most = max(_SAMPLED // len(bags), 1)
        sample = np.concatenate([
            bag[rng.choice(len(bag), min(len(bag), most), replace=False)] for bag in bags])
        self.mean, self.std = sample.mean(0), sample.std(0) + 1e-6
        count = min(words, len(sample))
        self.clusters = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=2048).fit(
            (sample - self.mean) / self.std)

    def __call__(self, bag: np.ndarray) -> np.ndarray:
        """(N, 55) -> float (D, ): roots of shares of the words, mean and deviation of vectors."""
        bag = (bag - self.mean) / self.std
        counts = np.bincount(self.clusters.predict(bag), minlength=self.clusters.n_clusters)
        return np.concatenate([np.sqrt(counts / len(bag)), .1 * bag.mean(0), .1 * bag.std(0)])
