"""What images are commonly protected with: blur, pixelation, smaller images, noise.

They are here to be compared with, under attack, with mixing and shuffling.
"""
from __future__ import annotations

import math

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from mmppvit.encryption.mixing import mix_sub_patches

__all__ = ['MAX_BLUR', 'MAX_NOISE', 'add_noise', 'blur', 'downsample', 'gaussian_weights',
           'noise_levels', 'pixelate']

MAX_BLUR = 100.  # pixels; the weights of a wider bell would be too coarse
MAX_NOISE = 255.
_BITS = 12  # of a weight: 255 * 2**24 + 2**23, the largest sum of two passes, fits 32 bits


def blur(img: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur: a convolution with :func:`gaussian_weights` down and across.

    Beyond its borders the image is continued as in a mirror, the outermost pixels repeated
    (SciPy's 'reflect'). Exact in integers, with one rounding at the end,
    ``(sum + 2**23) // 2**24``, so that flips and turns of the image are those of the result.

    Args:
        img (ndarray): uint8, (H, W) or (H, W, C), any sides.
        sigma (float): Standard deviation in pixels, above 0, at most 100.

    Returns:
        ndarray: uint8, as ``img``, contiguous.

    Raises:
        TypeError: The image is not uint8.
        ValueError: ``sigma`` is out of range.
    """
    _check_8bit(img, 'blurring')
    weights = gaussian_weights(sigma)
    total = _convolve(_convolve(img, weights, 0), weights, 1)
    total += np.uint32(1 << (2 * _BITS - 1))
    total >>= np.uint32(2 * _BITS)
    return np.ascontiguousarray(total, dtype=np.uint8)


def gaussian_weights(sigma: float) -> np.ndarray:
    """uint32 (2 r + 1, ): a Gaussian bell of whole numbers whose sum is 4096.

    Rounded to the nearest; what that leaves over goes to the middle, and r is as far as weights
    are not 0.

    Raises:
        ValueError: ``sigma`` is not above 0 and at most 100.
    """
    if not 0 < sigma <= MAX_BLUR:
        raise ValueError(f'sigma of the blur must be above 0 and at most {MAX_BLUR:g} pixels, got '
                         f'{sigma}')
    bell = np.exp(-.5 * (np.arange(math.ceil(4 * sigma) + 1) / sigma)**2)
    bell = np.rint(bell / (2 * bell.sum() - 1) * (1 << _BITS)).astype(np.int64)
    bell = bell[:np.count_nonzero(bell)]
    bell[0] = (1 << _BITS) - 2 * bell[1:].sum()
    return np.r_[bell[:0:-1], bell].astype(np.uint32)


def _convolve(img: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """uint32, as ``img``: the weighted sum along ``axis``."""
    radius = len(weights) // 2
    width = [(radius, radius) if i == axis else (0, 0) for i in range(img.ndim)]
    padded = np.pad(img.astype(np.uint32), width, mode='symmetric').swapaxes(0, axis)
    size = img.shape[axis]
    total = padded[radius:radius + size] * weights[radius]
    for k in range(radius):  # the bell is symmetric: one product for two lines
        total += (padded[k:k + size] + padded[2 * radius - k:2 * radius - k + size]) * weights[k]
    return total.swapaxes(0, axis)


def pixelate(img: np.ndarray, block: int) -> np.ndarray:
    """Replace every ``block`` x ``block`` pixels by their mean, at full size.

    Blocks are counted from the upper left corner. Those at the right and lower border may be
    smaller and are the mean of what they have. Exact, ``(sum + n // 2) // n`` over n pixels.

    Args:
        img (ndarray): uint8, (H, W) or (H, W, C), any sides.
        block (int): Side of a block in pixels.

    Returns:
        ndarray: uint8, as ``img``, contiguous.

    Raises:
        TypeError: The image is not uint8.
        ValueError: ``block`` is not positive.
    """
    _check_8bit(img, 'pixelation')
    if block < 1:
        raise ValueError(f'a block has a side of at least 1 pixel, got {block}')
    starts = [np.arange(0, size, block) for size in img.shape[:2]]
    lengths = [np.diff(first, append=size)
               for first, size in zip(starts, img.shape[:2], strict=True)]
    total = np.add.reduceat(img, starts[0], axis=0, dtype=np.int64)
    total = np.add.reduceat(total, starts[1], axis=1)
    count = np.multiply.outer(*lengths).reshape(total.shape[:2] + (1, ) * (img.ndim - 2))
    means = ((total + count // 2) // count).astype(np.uint8)
    return means.repeat(lengths[0], axis=0).repeat(lengths[1], axis=1)


def downsample(img: np.ndarray, factor: int) -> np.ndarray:
    """An image smaller by ``factor``: the mean of every ``factor`` x ``factor`` neighbors.

    It has as many numbers as the image mixed with ``grid=factor``. Mixing takes the mean of
    pixels that lie a sub-patch apart, so this is mixing of patches whose sub-patches are single
    pixels; its rounding is that of :func:`mix_sub_patches`.

    Args:
        img (ndarray): uint8, (H, W) or (H, W, C); sides multiples of ``factor``.
        factor (int): 1 leaves the image as it is.

    Returns:
        ndarray: uint8, (H / factor, W / factor[, C]), contiguous.

    Raises:
        TypeError: The image is not uint8.
        ValueError: ``factor`` does not divide a side.
    """
    _check_8bit(img, 'downsampling')
    return mix_sub_patches(img, factor, factor)


def add_noise(img: np.ndarray, sigma: float, seed: bytes) -> np.ndarray:
    """Gaussian noise of its own for every number, rounded, added and clipped to 8 bits.

    The noise comes from the AES-256-CTR stream of ``seed``, 16 bits for each number, so it is the
    same on every platform, and nobody can predict it without the seed. Who knows the seed takes
    all of it away that was not clipped.

    Args:
        img (ndarray): uint8, any shape.
        sigma (float): Standard deviation in levels, above 0, at most 255.
        seed (bytes): 32 bytes.

    Returns:
        ndarray: uint8, as ``img``, contiguous.

    Raises:
        TypeError: The image is not uint8.
        ValueError: ``sigma`` is out of range.
    """
    _check_8bit(img, 'noise')
    levels = noise_levels(sigma)
    stream = Cipher(AES256(seed), CTR(bytes(16))).encryptor()
    draws = np.frombuffer(stream.update(bytes(2 * img.size)), '<u2').reshape(img.shape)
    return np.clip(levels[draws] + img, 0, 255).astype(np.uint8)


def noise_levels(sigma: float) -> np.ndarray:
    """int16 (65536, ): the rounded Gaussian noise that each of 16 bits' numbers stands for.

    Level n stands at places ``[65536 * Phi((n - 1/2) / sigma), 65536 * Phi((n + 1/2) / sigma))``,
    so equally likely numbers make Gaussian noise, up to a resolution of 1 in 65536.

    Raises:
        ValueError: ``sigma`` is not above 0 and at most 255.
    """
    if not 0 < sigma <= MAX_NOISE:
        raise ValueError(f'sigma of the noise must be above 0 and at most {MAX_NOISE:g} levels, '
                         f'got {sigma}')
    far = math.ceil(5 * sigma)
    ends = [math.erfc(-(n + .5) / (sigma * math.sqrt(2))) / 2 for n in range(-far, far)]
    places = np.rint(np.array(ends) * 65536).astype(np.int64)
    return (np.searchsorted(places, np.arange(65536), side='right') - far).astype(np.int16)


def _check_8bit(img: np.ndarray, what: str) -> None:
    if img.dtype != np.uint8:
        raise TypeError(f'{what} works on 8-bit images, got {img.dtype}; convert to uint8 first')
