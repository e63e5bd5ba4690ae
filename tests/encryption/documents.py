"""Images that are no photographs: pages, forms, drawings, screenshots and X-rays, drawn by code."""
from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

__all__ = ['DOCUMENTS', 'draw_document']

_SIZE = 480, 352  # width, height
_BLACK = 0, 0, 0


def draw_document(kind: str, seed: int) -> np.ndarray:
    """uint8 (352, 480, 3), BGR; ``kind`` is one of :data:`DOCUMENTS`."""
    return DOCUMENTS[kind](np.random.default_rng(seed))


def _white() -> np.ndarray:
    return np.full((_SIZE[1], _SIZE[0], 3), 255, np.uint8)


def _write(img: np.ndarray, rng: np.random.Generator, place: tuple[int, int], words: int,
           scale: float) -> None:
    letters = list('etaoinshrdlucm')
    text = ' '.join(''.join(rng.choice(letters, rng.integers(2, 9))) for _ in range(words))
    cv2.putText(img, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (20, 20, 20), 1, cv2.LINE_AA)


def _page(rng: np.random.Generator) -> np.ndarray:
    img, scale, margin = _white(), rng.uniform(.35, .7), int(rng.integers(15, 40))
    for y in range(margin, _SIZE[1] - margin, int(32 * scale) + int(rng.integers(2, 8))):
        _write(img, rng, (margin, y), 12, scale)
    img[:, _SIZE[0] - margin:] = 255
    return img


def _scan(img: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As a scanner sees it: turned a little, blurred, gray, with noise and JPEG's blocks."""
    turn = cv2.getRotationMatrix2D((_SIZE[0] / 2, _SIZE[1] / 2), rng.normal(0, .7), 1)
    img = cv2.warpAffine(img, turn, _SIZE, borderValue=(250, 250, 250))
    img = cv2.GaussianBlur(img, (0, 0), .6) * rng.uniform(.85, .95) + rng.normal(0, 3, img.shape)
    jpeg = cv2.imencode('.jpg', np.clip(img, 0, 255).astype(np.uint8))[1]
    return cv2.imdecode(jpeg, cv2.IMREAD_COLOR)


def _form(rng: np.random.Generator) -> np.ndarray:
    img, step = _white(), int(rng.choice([16, 20, 24, 32]))
    img[:, rng.integers(step)::2 * step] = img[rng.integers(step)::step] = 0
    for _ in range(20):
        _write(img, rng, tuple(map(int, rng.integers(0, _SIZE))), 1, .4)
    return img


def _drawing(rng: np.random.Generator) -> np.ndarray:
    img = _white()
    for _ in range(20):
        ends = rng.integers(0, _SIZE, (2, 2)).tolist()
        cv2.line(img, *ends, _BLACK, 1, cv2.LINE_AA)
        cv2.circle(img, ends[0], int(rng.integers(5, 80)), _BLACK, 2, cv2.LINE_AA)
        cv2.rectangle(img, *ends, rng.integers(0, 255, 3).tolist(), 1)
    return img


def _screenshot(rng: np.random.Generator) -> np.ndarray:
    img = _white()
    for _ in range(6):
        (x, y), (width, height) = rng.integers(0, (50, 40), (2, 2)) * 8
        color = rng.integers(100, 255, 3).tolist()
        cv2.rectangle(img, (x, y), (x + width, y + height), color, -1)
        for line in range(height // 20):
            _write(img, rng, (int(x) + 6, int(y) + 16 + 20 * line), 3, .4)
    return img


def _xray(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:_SIZE[1], :_SIZE[0]].astype(np.float32)
    img = np.zeros((_SIZE[1], _SIZE[0]), np.float32)
    for across, down, wide, high, bright in rng.uniform((.2, .2, .1, .1, 20), (.8, .8, .3, .3, 120),
                                                       (8, 5)):
        img += bright * np.exp(-((x / _SIZE[0] - across) / wide)**2
                               - ((y / _SIZE[1] - down) / high)**2)
    for rib in range(8):
        img += 25 * np.exp(-((y - 44 * rib - 30 * np.sin(x / 120)) / 5)**2)
    img[:, :40] = 0
    img = np.clip(img + rng.normal(0, 3, img.shape), 0, 255).astype(np.uint8)
    return img[..., None].repeat(3, 2)


def _blank(rng: np.random.Generator) -> np.ndarray:
    """A page of two words."""
    img = _white()
    _write(img, rng, (int(rng.integers(20, 200)), int(rng.integers(40, 300))), 2, .8)
    return img


def _dots(rng: np.random.Generator) -> np.ndarray:
    img = _white()
    for center in rng.integers(0, _SIZE, (8, 2)).tolist():
        cv2.circle(img, center, int(rng.integers(2, 6)), _BLACK, -1)
    return img


DOCUMENTS: dict[str, Callable[[np.random.Generator], np.ndarray]] = dict(
    page=_page, scan=lambda rng: _scan(_page(rng), rng), form=_form, drawing=_drawing,
    screenshot=_screenshot, xray=_xray, blank=_blank, dots=_dots)
