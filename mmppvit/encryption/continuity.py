"""Whether the patches of an image continue each other, which encrypted ones do not.

An encrypted image and a plain one can be the same where there is little in them: an empty page, a
pattern that repeats with every patch. Nothing is said of such images, so that what is said holds.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mmppvit.encryption.patches import split_patches

__all__ = ['continues_over_borders', 'lies_in_order']

# Of 720 pages, forms, drawings, screenshots, X-rays, halftones and photographs, each mixed in six
# ways, 3 images fit: halftones whose dots repeat almost with the patches.
_FITS_BETTER, _FITS_AS_WELL = .65, 1.02
_CERTAIN, _ENOUGH_LINES = 3.5, 8  # standard errors, and of how many borders at least
_WITHIN = (.8, 2.5)  # up to 2 where JPEG's blocks end with the patches
_ALIKE = (.8, 1.2)
_LEAST_STEP = .25  # levels

_ORDERED_BELOW, _FAR_BELOW = .8, 6.  # share of, and standard deviations below, random orders
_ENOUGH_PATCHES, _ENOUGH_DISTINCT, _ORDERS = 48, 12, 16


class _Steps(NamedTuple):
    """Mean steps of one direction, as multiples of that from a patch's last line to its first.

    ``next``: to the first line of the next patch, with ``certainty`` standard errors below 1.
    ``apart``: between lines as far from each other that do not begin a patch. ``within``: ``next``
    as a multiple of the step between neighboring lines of a patch.
    """
    next: float
    certainty: float
    apart: float
    within: float


def continues_over_borders(img: np.ndarray, side: int) -> bool:
    """Whether patches certainly continue each other, which mixed ones do not.

    The sub-patches of a patch continue each other, so the last line of a mixed patch fits its own
    first line, through those which it is a mean of, at least as well as the first line of the next
    patch. In a plain image the next patch fits better, and no line is special. Images that repeat
    themselves are told by lines as far from each other that do not begin a patch.

    Args:
        img (ndarray): uint8, (H, W, C), sides multiples of ``side``.
        side (int): Side of a patch in pixels; nothing is said of less than 3.
    """
    if side < 3:
        return False
    found = [steps for turned in (img, img.swapaxes(0, 1))
             if (steps := _compare_steps(turned, side)) is not None]
    return (any(steps.next < _FITS_BETTER and steps.certainty > _CERTAIN
                and _WITHIN[0] < steps.within < _WITHIN[1] for steps in found)
            and all(steps.next < _FITS_AS_WELL and _ALIKE[0] < steps.apart < _ALIKE[1]
                    for steps in found))


def _compare_steps(img: np.ndarray, side: int) -> _Steps | None:
    """Steps down the image; None if there are none."""
    lines = img.astype(np.int16)
    first, last = lines[::side], lines[side - 1::side]
    if len(first) < 2:
        return None
    own, following = _by_patch(last - first, side), _by_patch(last[:-1] - first[1:], side)
    own = (own[:-1] + own[1:]) / 2
    mean = own.mean()
    if mean < _LEAST_STEP:
        return None
    gain = own - following
    apart = [np.abs(lines[k + side - 1::side] - lines[k:1 - side:side]).mean()
             for k in range(1, side)]
    neighbors = [np.abs(lines[k + 1::side] - lines[k::side]).mean() for k in range(side - 1)]
    return _Steps(following.mean() / mean, min(_certainty(gain.mean(axis)) for axis in (0, 1)),
                  np.mean(apart) / mean, following.mean() / max(np.mean(neighbors), 1e-9))


def _by_patch(steps: np.ndarray, side: int) -> np.ndarray:
    """(N, W, C) -> (N, W / side), the mean size of the steps of every patch."""
    sizes = np.abs(steps).mean(2)
    return sizes.reshape(len(sizes), -1, side).mean(2)


def _certainty(values: np.ndarray) -> float:
    """The mean in standard errors. Lines across a page are one observation, not one a patch."""
    if len(values) < _ENOUGH_LINES:
        return 0.
    return float(values.mean() / max(values.std(ddof=1) / np.sqrt(len(values)), 1e-9))


def lies_in_order(img: np.ndarray, side: int) -> bool:
    """Whether neighbors certainly are still neighbors.

    The order of shuffled patches is as good as any other, so the steps over their borders are those
    of random orders. Nothing is said of few patches, nor where few differ from the others.

    Args:
        img (ndarray): uint8, (H, W, C), sides multiples of ``side``.
        side (int): Side of a patch in pixels.
    """
    patches = split_patches(img, side)
    rows, cols = patches.shape[:2]
    ends = [patches[:, :, 0], patches[:, :, -1], patches[:, :, :, 0], patches[:, :, :, -1]]
    top, bottom, left, right = (np.ascontiguousarray(end).reshape(rows * cols, -1) for end in ends)
    if rows * cols < _ENOUGH_PATCHES or _count_distinct(top) < _ENOUGH_DISTINCT:
        return False

    def steps(order: np.ndarray) -> float:
        order = order.reshape(rows, cols)
        return float(_difference(right[order[:, :-1]], left[order[:, 1:]])
                     + _difference(bottom[order[:-1]], top[order[1:]]))

    rng = np.random.default_rng(0)
    at_random = [steps(rng.permutation(rows * cols)) for _ in range(_ORDERS)]
    mean, spread = np.mean(at_random), np.std(at_random, ddof=1)
    found = steps(np.arange(rows * cols))
    return bool(found < min(_ORDERED_BELOW * mean, mean - _FAR_BELOW * spread))


def _count_distinct(ends: np.ndarray) -> float:
    """How many patches the differences from the middle patch are spread over."""
    away = np.abs(ends - np.median(ends, 0)).mean(1)
    return float(away.sum()**2 / max(np.square(away).sum(), 1e-9))


def _difference(a: np.ndarray, b: np.ndarray) -> int:
    return np.sum(np.maximum(a, b) - np.minimum(a, b), dtype=np.int64)
