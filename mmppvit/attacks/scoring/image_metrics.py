"""How much of an image was reconstructed: PSNR, SSIM, re-identification, with intervals."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.feature import hog
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

__all__ = ['MATCHERS', 'Reidentification', 'Summary', 'bootstrap_interval', 'psnr', 'reidentify',
           'ssim', 'summarize']

_MOST_DB = 100.
_WINDOW = 7  # pixels, of scikit-image's SSIM


def psnr(plain: np.ndarray, reconstructed: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all channels; 100 at most, also of equal images.

    Args:
        plain, reconstructed (ndarray): uint8 (H, W, 3), of one shape.

    Raises:
        ValueError: The shapes differ.
        TypeError: One is not uint8.
    """
    _check_pair(plain, reconstructed)
    if np.array_equal(plain, reconstructed):
        return _MOST_DB  # infinity is no number of JSON, and has no mean
    return min(float(peak_signal_noise_ratio(plain, reconstructed, data_range=255)), _MOST_DB)


def ssim(plain: np.ndarray, reconstructed: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004), the mean of the channels; 1 of equal images.

    Args:
        plain, reconstructed (ndarray): uint8 (H, W, 3), of one shape, at least 7 pixels a side.

    Raises:
        ValueError: The shapes differ, or a side is too short.
        TypeError: One is not uint8.
    """
    _check_pair(plain, reconstructed)
    if min(plain.shape[:2]) < _WINDOW:
        raise ValueError(f'SSIM looks at windows of {_WINDOW} pixels, and the image is of shape '
                         f'{plain.shape}')
    return float(structural_similarity(plain, reconstructed, win_size=_WINDOW, channel_axis=-1,
                                       data_range=255))


def _check_pair(plain: np.ndarray, reconstructed: np.ndarray) -> None:
    if plain.shape != reconstructed.shape:
        raise ValueError(f'the plain image is of shape {plain.shape}, the reconstructed one of '
                         f'{reconstructed.shape}')
    for img in (plain, reconstructed):
        if img.dtype != np.uint8:
            raise TypeError(f'scores compare 8-bit images, got {img.dtype}')


# --- intervals -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """A score over all images; higher means more was reconstructed.

    Args:
        mean (float): Over images.
        low, high (float): 95 % interval of the mean.
        worst (float): Of the image that was reconstructed best, the worst case for its owner.
        worst_index (int): Which one that is.
        count (int): Images.
    """
    mean: float
    low: float
    high: float
    worst: float
    worst_index: int
    count: int


def summarize(scores: Sequence[float], seed: int = 0) -> Summary:
    """Mean with its interval, and the worst case, of one score an image.

    Raises:
        ValueError: There are none, or one is not finite.
    """
    values = np.asarray(scores, np.float64)
    low, high = bootstrap_interval(values, seed=seed)
    worst = int(values.argmax())
    return Summary(float(values.mean()), low, high, float(values[worst]), worst, len(values))


def bootstrap_interval(scores: Sequence[float], level: float = .95, resamples: int = 2000,
                       seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap of the mean over images (Efron 1979).

    It says how much the mean would differ with other images of the same kind. Of few images it
    is too narrow, and of scores that are all the same it has no width.

    Raises:
        ValueError: There are no scores, or one is not finite.
    """
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f'an interval needs finite scores, one an image, got {values}')
    drawn = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


# --- re-identification ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Reidentification:
    """Which plain image each reconstructed one is nearest to, among all of them.

    Args:
        ranks (dict[str, ndarray]): By matcher, float (N, ): the place at which the right one comes;
            1 is found, and (N + 1) / 2 is the mean of guessing. Ties share their mean place.
        top1 (dict[str, ndarray]): By matcher, float (N, ): 1 where the right one comes first; where
            n tie for the first place, and it is among them, 1 / n.
    """
    ranks: dict[str, np.ndarray]
    top1: dict[str, np.ndarray]

    @property
    def chance(self) -> float:
        """Share that guessing finds."""
        return 1 / len(self.top1[self.best])

    @property
    def best(self) -> str:
        """The matcher that finds most, then the one of the lowest mean rank.

        It is chosen by what it found, in the attacker's favor: the best of several that all guess
        finds a little more than guessing does.
        """
        return max(self.top1, key=lambda name: (self.top1[name].mean(), -self.ranks[name].mean()))

    def summary(self, matcher: str | None = None, seed: int = 0) -> Summary:
        """The share found by ``matcher``, by default the best."""
        return summarize(self.top1[matcher or self.best], seed)


def reidentify(plain: Sequence[np.ndarray], reconstructed: Sequence[np.ndarray]
               ) -> Reidentification:
    """Match every reconstructed image with its nearest plain one, by each of :data:`MATCHERS`.

    Several may match one. Shapes are not compared, though sizes alone may tell images apart.

    Args:
        plain (Sequence[ndarray]): N of uint8 (H, W, 3), BGR, any sizes.
        reconstructed (Sequence[ndarray]): Likewise, in the same order.

    Raises:
        ValueError: Their numbers differ, or there is only one image.
    """
    if len(plain) != len(reconstructed) or len(plain) < 2:
        raise ValueError(f'{len(reconstructed)} reconstructed images cannot be matched with '
                         f'{len(plain)} plain ones: give as many of each, two at least')
    ranks, top1 = {}, {}
    for name, describe in MATCHERS.items():
        gallery, queries = (np.stack([describe(img) for img in imgs]) for imgs in
                            (plain, reconstructed))
        ranks[name], top1[name] = _places(queries @ gallery.T)
    return Reidentification(ranks, top1)


def _places(similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, N), of reconstructed i with plain j -> rank and top-1 of j = i, (N, ) each."""
    similarity = np.round(similarity, 6)  # rounding in sums must not break ties
    right = np.diag(similarity)[:, None]
    better, equal = (similarity > right).sum(1), (similarity == right).sum(1)
    return better + (equal + 1) / 2, np.where(better == 0, 1 / equal, 0.)


def _unit(values: np.ndarray) -> np.ndarray:
    """Mean 0 and length 1, so that a product of two is their normalized cross-correlation."""
    values = values.astype(np.float64).ravel()
    values = values - values.mean()
    length = np.linalg.norm(values)
    return values / length if length > 1e-9 else values * 0


def _grey(img: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)


def _thumbnail(side: int, color: bool = False):
    def describe(img: np.ndarray) -> np.ndarray:
        return _unit(cv2.resize(img if color else _grey(img), (side, side),
                                interpolation=cv2.INTER_AREA))
    return describe


def _histogram(img: np.ndarray) -> np.ndarray:
    """Colors in 8 x 8 x 8 bins; the product of roots is Bhattacharyya's coefficient."""
    counts = cv2.calcHist([img], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3)
    return np.sqrt(counts.ravel() / counts.sum())


def _gradients(img: np.ndarray) -> np.ndarray:
    small = cv2.resize(_grey(img), (64, 64), interpolation=cv2.INTER_AREA)
    return _unit(hog(small, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2)))


def _texture(img: np.ndarray) -> np.ndarray:
    """Where there is much contrast: it stays when the means of patches are taken away."""
    gray = cv2.resize(_grey(img), (128, 128), interpolation=cv2.INTER_AREA).astype(np.float32)
    cells = gray.reshape(16, 8, 16, 8)
    return _unit(np.log(cells.std((1, 3)) + 1))


MATCHERS = {
    'gray 16x16': _thumbnail(16), 'gray 32x32': _thumbnail(32),
    'color 16x16': _thumbnail(16, color=True), 'color histogram': _histogram,
    'gradients (HOG)': _gradients, 'texture map': _texture,
}
