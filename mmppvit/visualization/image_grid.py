"""Images side by side, with boxes: plain, encrypted, detected."""
from __future__ import annotations

import colorsys
import os
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ['distinct_colors', 'draw_instances', 'enlarge', 'image_grid', 'save_image']

_PAPER, _INK = (255, 255, 255), (40, 40, 40)
_MASK_SHARE = .4


def distinct_colors(num: int) -> list[tuple[int, int, int]]:
    """RGB colors of ``num`` classes, for data sets without a palette."""
    golden = .618034  # neighbors on the list are far apart on the color circle
    return [tuple(round(255 * c) for c in colorsys.hsv_to_rgb(k * golden % 1, .8, .8))
            for k in range(num)]


def enlarge(img: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Show every pixel of ``img`` as a block, without smoothing.

    Args:
        img (ndarray): uint8, (H, W) or (H, W, 3).
        size (tuple[int, int]): Width and height in pixels.

    Returns:
        ndarray: uint8, (size[1], size[0]) or (size[1], size[0], 3).
    """
    return np.asarray(Image.fromarray(img).resize(size, Image.Resampling.NEAREST))


def draw_instances(img: np.ndarray,
                   boxes: np.ndarray,
                   texts: list[str],
                   colors: list[tuple[int, int, int]],
                   masks: np.ndarray | None = None) -> np.ndarray:
    """Draw labeled boxes, and masks if there are any.

    Args:
        img (ndarray): RGB uint8, (H, W, 3).
        boxes (ndarray): (N, 4), left, top, right, bottom in pixels of ``img``.
        texts (list[str]): Label of each box; '' for none.
        colors (list[tuple[int, int, int]]): RGB of each box.
        masks (ndarray, optional): (N, H, W), 0 outside of the objects.

    Returns:
        ndarray: RGB uint8, (H, W, 3); ``img`` itself is not touched.
    """
    img = img.copy()
    for mask, color in zip(masks, colors, strict=True) if masks is not None else ():
        inside = np.asarray(mask, bool)
        img[inside] = np.rint((1 - _MASK_SHARE) * img[inside] + _MASK_SHARE * np.array(color))
    canvas = Image.fromarray(img)
    draw = ImageDraw.Draw(canvas)
    side = min(img.shape[:2])
    line, font = max(2, side // 200), _font(max(10, side // 25))
    boxes = np.asarray(boxes, float).reshape(-1, 4).round().astype(int).tolist()
    for box, color in zip(boxes, colors, strict=True):
        _draw_box(draw, box, color, line)
    for box, text, color in zip(boxes, texts, colors, strict=True):  # above all boxes
        if text:
            _draw_label(draw, canvas.size, box, text, color, font)
    return np.asarray(canvas)


def image_grid(rows: list[list[np.ndarray]],
                 headings: list[str] | None = None,
                 gap: int = 6) -> np.ndarray:
    """Lay images out in rows and columns on white.

    A column is as wide as its widest image and a row as high as its highest one.

    Args:
        rows (list[list[ndarray]]): RGB uint8 images, (H, W, 3) each; rows of equal length.
        headings (list[str], optional): One for each column; may have several lines.
        gap (int): Pixels between images and around them.

    Returns:
        ndarray: RGB uint8, (H, W, 3).
    """
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError(f'rows must have equal lengths, got {[len(row) for row in rows]}')
    widths = [max(img.shape[1] for img in column) for column in zip(*rows, strict=True)]
    heights = [max(img.shape[0] for img in row) for row in rows]
    font = _font(max(12, min(widths) // 18))
    top = _heading_height(headings, font) + gap
    canvas = Image.new('RGB', (sum(widths) + gap * (len(widths) + 1),
                               sum(heights) + gap * len(heights) + top), _PAPER)
    draw = ImageDraw.Draw(canvas)
    x = gap
    for column, width in enumerate(widths):
        if headings:
            draw.multiline_text((x + width / 2, gap), headings[column], _INK, font, anchor='ma',
                                align='center')
        y = top
        for row, height in zip(rows, heights, strict=True):
            canvas.paste(Image.fromarray(row[column]), (x, y))
            y += height + gap
        x += width + gap
    return np.asarray(canvas)


def save_image(img: np.ndarray, path: str | os.PathLike, num_colors: int | None = None) -> None:
    """Write RGB uint8 (H, W, 3) as PNG, its folder included.

    With ``num_colors`` (up to 256) the file has a palette and about a quarter of the size.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(img)
    if num_colors:
        image = image.quantize(num_colors, dither=Image.Dither.NONE)
    image.save(path, 'PNG', optimize=True)


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """matplotlib's own font: the same on every machine, and MMDetection brings it along."""
    folder = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'
    return ImageFont.truetype(str(folder / 'DejaVuSans.ttf'), size)


def _heading_height(headings: list[str] | None, font: ImageFont.FreeTypeFont) -> int:
    if not headings:
        return 0
    draw = ImageDraw.Draw(Image.new('RGB', (1, 1)))
    boxes = [draw.multiline_textbbox((0, 0), text, font, anchor='la') for text in headings]
    return int(max(box[3] for box in boxes)) + font.size // 2


def _draw_box(draw: ImageDraw.ImageDraw, box: list[int], color: tuple[int, int, int],
              line: int) -> None:
    x0, y0, x1, y1 = box
    x1, y1 = max(x0, x1), max(y0, y1)
    # The white rim keeps the box visible where image and class have the same color.
    draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=(255, 255, 255), width=line + 2)
    draw.rectangle((x0, y0, x1, y1), outline=color, width=line)


def _draw_label(draw: ImageDraw.ImageDraw, size: tuple[int, int], box: list[int], text: str,
                color: tuple[int, int, int], font: ImageFont.FreeTypeFont) -> None:
    """White text on the color of the class, above the box or, at the rim, inside of it."""
    width = int(draw.textlength(text, font)) + 6
    height = font.size + 4
    x = min(max(box[0] - 1, 0), max(size[0] - width, 0))
    y = box[1] - height if box[1] >= height else max(box[1], 0)
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=color)
    draw.text((x + 3, y + height // 2), text, (255, 255, 255), font, anchor='lm')
