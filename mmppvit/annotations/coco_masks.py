"""Segmentations and key points of annotations."""
from __future__ import annotations

from mmppvit.annotations.coco_boxes import is_number
from mmppvit.annotations.findings import CheckReport, shown

__all__ = ['check_keypoints', 'check_segmentation']

_LEAST_CORNERS = 3


def check_segmentation(item: dict, image: dict, where: str, report: CheckReport) -> None:
    """Refuse a segmentation that pycocotools cannot read, or of another image size."""
    value = item.get('segmentation')
    if value is None or value == []:
        return
    if isinstance(value, dict):
        fault = _rle_fault(value, image)
    elif isinstance(value, list):
        fault = _polygon_fault(value)
        if fault is None and any(len(part) < 2 * _LEAST_CORNERS or len(part) % 2 for part in value):
            report.note('polygon of fewer than three points, or an odd count of numbers: training '
                        'with masks ignores it', f'{where}: segmentation is {shown(value)}')
    else:
        fault = 'is neither polygons nor RLE'
    if fault is not None:
        report.refuse(f'segmentation that {fault}', f'{where}: segmentation is {shown(value)}')


def _polygon_fault(parts: list) -> str | None:
    good = all(isinstance(part, list) and all(map(is_number, part)) for part in parts)
    return None if good else 'is not a list of lists of finite numbers'


def _rle_fault(value: dict, image: dict) -> str | None:
    size, counts = value.get('size'), value.get('counts')
    if size != [image['height'], image['width']]:
        return 'is RLE of another size than its image: size is [height, width] of the image'
    if isinstance(counts, str):
        counts = _read_counts(counts)
        if counts is None:
            return 'is RLE whose counts are no string that pycocotools writes'
    if not (isinstance(counts, list) and all(type(n) is int and n >= 0 for n in counts)):
        return 'is RLE whose counts are neither a string nor whole numbers'
    if sum(counts) != size[0] * size[1]:
        return 'is RLE whose counts do not add up to height * width'
    return None


def _read_counts(text: str) -> list[int] | None:
    """Counts of a compressed RLE, as ``rleFrString`` of pycocotools reads them; None if it cannot.

    Each is written in groups of five bits, '0' to 'o', from the third on as the difference from the
    one before the last.
    """
    counts, value, bits = [], 0, 0
    for char in text:
        group = ord(char) - 48
        if not 0 <= group < 64 or bits > 60:
            return None
        value |= (group & 31) << bits
        bits += 5
        if not group & 32:
            if group & 16:
                value -= 1 << bits
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = bits = 0
    return counts if text and not bits else None


def check_keypoints(item: dict, where: str, report: CheckReport) -> None:
    """Refuse key points that are not finite numbers."""
    for key in ('keypoints', 'num_keypoints'):
        value = item.get(key)
        values = value if isinstance(value, list) else [value]
        if value is not None and not all(map(is_number, values)):
            report.refuse(f'{key} that are not finite numbers', f'{where}: {key} is {shown(value)}')
