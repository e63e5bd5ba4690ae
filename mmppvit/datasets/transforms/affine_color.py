"""Color changes that commute with sealing."""
from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS

from mmppvit.encryption import MIDDLE_LEVEL, Change

__all__ = ['RandomAffineColor']


@TRANSFORMS.register_module()
class RandomAffineColor(BaseTransform):
    """Contrast and brightness: ``x -> gain * x + bias``, rounded and clipped to 8 bits.

    It acts on every pixel by itself, so on shuffled patches as well. Mixing takes means, which
    follow: before mixing or after it the result is the same up to one level of rounding, away
    from 0 and 255.

    A *centered* image holds ``y = x + s * (128 - mean)``, ``mean`` being that of the patch and s
    the strength. What changes it as ``x`` changed before sealing is

        ``y -> gain * y + (1 - s) * bias + 128 * s * (1 - gain)``

    without knowing any mean, up to two levels (in 1 to 2 % of the pixels; else one). With
    s = 1 that is contrast about 128, and ``bias`` does nothing, for centering takes brightness
    away. Give the strength of your sealed images as ``center_strength``.

    An image whose *contrast was normalized* patch by patch does not tell the gain of the plain
    one, for normalization undoes it (but for flat patches, which it stretches less). There only
    ``bias`` commutes, with ``gain=(1, 1)``. Any other gain simply changes the contrast of the
    sealed image to one that sealing never makes: noise which a model may learn to ignore, not
    what another light would have done to the plain image.

    Padding changes along with the rest of the image.

    Required Keys:

    - img

    Modified Keys:

    - img

    Args:
        gain (tuple[float, float]): Range of the factor, above 0.
        bias (tuple[float, float]): Range of the summand, in levels of the plain image.
        per_channel (bool): Whether every channel has draws of its own.
        center_strength (float): Share of the patch mean that centering removed, 0 for none.
        prob (float): Probability of a change.
    """

    change = Change.COLOR

    def __init__(self,
                 gain: tuple[float, float] = (.8, 1.2),
                 bias: tuple[float, float] = (-16, 16),
                 per_channel: bool = True,
                 center_strength: float = 0.,
                 prob: float = .5) -> None:
        if not 0 < gain[0] <= gain[1]:
            raise ValueError(f'gain must be a range (low, high) above 0, got {gain}')
        if not bias[0] <= bias[1]:
            raise ValueError(f'bias must be a range (low, high), got {bias}')
        for name, value in (('center_strength', center_strength), ('prob', prob)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name} must be in [0, 1], got {value}')
        self.gain = tuple(gain)
        self.bias = tuple(bias)
        self.per_channel = per_channel
        self.center_strength = center_strength
        self.prob = prob

    @cache_randomness
    def _random_color(self, channels: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Gain and bias of each channel; None for no change."""
        if np.random.rand() >= self.prob:
            return None
        count = channels if self.per_channel else 1
        drawn = (np.random.uniform(*self.gain, count), np.random.uniform(*self.bias, count))
        gain, bias = (np.broadcast_to(values, channels) for values in drawn)
        return gain, bias

    def transform(self, results: dict) -> dict:
        """Change the colors of ``img``."""
        img = results['img']
        if img.dtype != np.uint8:
            raise TypeError(
                f"{results.get('img_path') or 'image'}: {type(self).__name__} works on 8-bit "
                f'images, got {img.dtype}; load the image as 8-bit and leave out '
                'PhotoMetricDistortion, which makes floats')
        drawn = self._random_color(img.shape[2] if img.ndim == 3 else 1)
        if drawn is None:
            return results
        gain, bias = drawn
        s = self.center_strength
        levels = np.arange(256)[:, None] * gain + (1 - s) * bias + MIDDLE_LEVEL * s * (1 - gain)
        # One row for each of the 256 values a pixel can have, one column for each channel.
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        results['img'] = cv2.LUT(np.ascontiguousarray(img), table[None]).reshape(img.shape)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(gain={self.gain}, bias={self.bias}, '
                f'per_channel={self.per_channel}, center_strength={self.center_strength}, '
                f'prob={self.prob})')
