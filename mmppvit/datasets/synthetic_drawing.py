"""What synthetic images are made of: backgrounds, outlines of shapes, and paint."""
from __future__ import annotations

import cv2
import numpy as np

__all__ = ['SHAPES', 'SUBPIXELS', 'draw_background', 'fill_outline', 'finish_image',
           'paint_mask', 'random_outline', 'soft_mask']

SHAPES = ('ellipse', 'rectangle', 'triangle', 'star', 'cross')
SUBPIXELS = 4  # per pixel and axis, for smooth edges and for outlines exact to 1/8 pixel


def random_outline(rng: np.random.Generator, label: int, size: tuple[int, int],
                   extent: tuple[float, float] = (.28, .6)) -> np.ndarray:
    """(N, 2) float64 corners x, y in sub-pixels, of a shape somewhere in the image.

    Args:
        rng (Generator): Of all draws.
        label (int): Index in :data:`SHAPES`.
        size (tuple[int, int]): Width and height of the image in pixels.
        extent (tuple[float, float]): Least and largest size of the shape, as a share of the
            image's shorter side.
    """
    points = _unit_outline(SHAPES[label])
    low, high = np.log(extent)
    side = min(size) * np.exp(rng.uniform(low, high))  # geometric mean, in pixels
    stretch = np.exp(rng.uniform(-.3, .3))
    points = points * side / 2 * (stretch, 1 / stretch)
    angle = np.deg2rad(rng.uniform(-20, 20)) if rng.random() < .6 else 0.
    cos, sin = np.cos(angle), np.sin(angle)
    points = points @ np.array([[cos, sin], [-sin, cos]])
    center = rng.uniform(.3 * side, np.array(size) - .3 * side)
    return (points + center) * SUBPIXELS


def _unit_outline(name: str) -> np.ndarray:
    """(N, 2) corners of a shape that fills about -1..1 in x and y."""
    if name == 'rectangle':
        return np.array([[-.85, -.85], [.85, -.85], [.85, .85], [-.85, .85]])
    if name == 'cross':
        a, b = 1., .34
        corners = [(b, a), (b, b), (a, b), (a, -b), (b, -b), (b, -a)]
        return np.array(corners + [(-x, -y) for x, y in corners])
    num = dict(ellipse=64, triangle=3, star=10)[name]
    angles = 2 * np.pi * np.arange(num) / num - np.pi / 2
    radii = np.ones(num)
    if name == 'star':
        radii[1::2] = .42
    if name == 'triangle':
        radii *= 1.15
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def fill_outline(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) uint8 mask in sub-pixels, 0 or 1, of an outline in an image of ``size`` (w, h)."""
    mask = np.zeros((size[1] * SUBPIXELS, size[0] * SUBPIXELS), np.uint8)
    return cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 1)


def soft_mask(mask: np.ndarray) -> np.ndarray:
    """(h, w) float32 in 0..1, a pixel's covered share, of a mask in sub-pixels."""
    size = mask.shape[1] // SUBPIXELS, mask.shape[0] // SUBPIXELS
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def draw_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) float32: a gradient with cloudy texture, crossed by lines that mean nothing."""
    width, height = size
    img = _gradient(rng, (height, width), rng.uniform(30, 225, 3), rng.uniform(30, 225, 3))
    clouds = rng.normal(0, rng.uniform(2, 9), (height // 12 + 2, width // 12 + 2, 3))
    img += cv2.resize(clouds.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(2, 6)):
        points = np.cumsum(rng.uniform(-.5, .5, (rng.integers(2, 5), 2)), axis=0) + rng.random(2)
        cv2.polylines(img, [np.rint(points * size).astype(np.int32)], False,
                      rng.uniform(20, 235, 3).tolist(), int(rng.integers(1, 4)), cv2.LINE_8)
    return img


def _gradient(rng: np.random.Generator, shape: tuple[int, int], start: np.ndarray,
              end: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32 from color ``start`` to ``end`` in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-.5:.5:shape[0] * 1j, -.5:.5:shape[1] * 1j]
    share = (.5 + (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2))[..., None]
    return ((1 - share) * start + share * end).astype(np.float32)


def paint_mask(rng: np.random.Generator, img: np.ndarray, mask: np.ndarray) -> None:
    """Fill ``mask`` (sub-pixels) on ``img`` in place: plain, shaded or striped."""
    alpha = soft_mask(mask)
    x, y, w, h = cv2.boundingRect((alpha > 0).astype(np.uint8))
    box = (slice(y, y + h), slice(x, x + w))
    color = _distinct_color(rng, img[box].mean((0, 1)))
    style = rng.integers(3)
    fill = _gradient(rng, (h, w), color, color + (rng.uniform(-60, 60, 3) if style else 0))
    if style == 2:
        angle, period = rng.uniform(0, np.pi), rng.uniform(6, 16)
        rows, columns = np.mgrid[:h, :w]
        wave = np.sin((columns * np.cos(angle) + rows * np.sin(angle)) * 2 * np.pi / period)
        fill += (wave[..., None] > 0) * rng.uniform(-35, 35, 3).astype(np.float32)
    img[box] += alpha[box][..., None] * (fill - img[box])


def _distinct_color(rng: np.random.Generator, around: np.ndarray) -> np.ndarray:
    """(3,) float64 in 10..245 that stands out from ``around``."""
    colors = rng.uniform(10, 245, (16, 3))
    distances = np.linalg.norm(colors - around, axis=1)
    far = distances > 120
    return colors[far.argmax() if far.any() else distances.argmax()]


def finish_image(rng: np.random.Generator, img: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 from float32, with a little noise; ``img`` is used up."""
    img += rng.normal(0, rng.uniform(.5, 2), img.shape)
    return np.clip(np.rint(img), 0, 255).astype(np.uint8)
