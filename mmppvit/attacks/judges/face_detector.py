"""CenterFace, a small detector of faces, by OpenCV's dnn."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

__all__ = ['CenterFace']

_STRIDE = 4  # of the maps
_SIDE = 32  # sides have to be multiples of it
_OUTPUTS = ('537', '538', '539', '540')  # heat, logarithm of the size, offset, landmarks


class CenterFace:
    """Xu et al., *CenterFace: joint face detection and alignment using face as point* (2019).

    Args:
        path (str | Path): ``centerface.onnx``.
        least (float): Scores below are no face.
        overlap (float): Of two boxes of greater IoU only the better one is kept.
    """

    def __init__(self, path: str | Path, least: float = .5, overlap: float = .3) -> None:
        self.net = cv2.dnn.readNetFromONNX(str(path))
        self.least, self.overlap = least, overlap

    def __call__(self, img: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3), BGR -> float (N, 5): x1, y1, x2, y2 in pixels, and score."""
        height, width = (-(-side // _SIDE) * _SIDE for side in img.shape[:2])
        padded = np.zeros((height, width, 3), np.uint8)
        padded[:img.shape[0], :img.shape[1]] = img
        self.net.setInput(cv2.dnn.blobFromImage(padded, swapRB=True))
        heat, size, offset, _ = (out[0] for out in self.net.forward(_OUTPUTS))
        rows, cols = np.nonzero(heat[0] > self.least)
        heights, widths = np.exp(size[:, rows, cols]) * _STRIDE
        y, x = ((place + offset[axis, rows, cols] + .5) * _STRIDE
                for axis, place in enumerate((rows, cols)))
        boxes = np.stack([x - widths / 2, y - heights / 2, x + widths / 2, y + heights / 2], 1)
        boxes = np.clip(boxes, 0, np.array([*img.shape[1::-1]] * 2))
        scores = heat[0, rows, cols]
        kept = cv2.dnn.NMSBoxes(np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
                                .tolist(), scores.tolist(), self.least, self.overlap)
        kept = np.asarray(kept, np.int64).reshape(-1)
        return np.concatenate([boxes, scores[:, None]], 1)[kept].astype(np.float64)
