"""What the owner knows of an image, to score guesses by."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ['TrueImage']


@dataclass
class TrueImage:
    """What the owner knows of an image, in the order of the host's patches.

    Attributes:
        places (ndarray): (N, 2) int, row and column of each patch.
        labels (ndarray): (N, ) int, class of the smallest box over its center, -1 for none.
        boxes (ndarray): (N, ) int, which box that is, -1 for none.
        areas (ndarray): (N, ) float, the area of that box in patches, 0 for none.
    """
    places: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray

    @cached_property
    def beside(self) -> np.ndarray:
        """(N, N) bool: whether two places share a side."""
        return np.abs(self.places[:, None] - self.places[None]).sum(2) == 1
