"""How much of sealed images a gain pushed out of the range of 8 bits."""
from __future__ import annotations

import numpy as np

from mmppvit.encryption import Scheme

__all__ = ['Clipping']

_MUCH = .001  # of all values


class Clipping:
    """Values of encrypted images at the ends of the range, 0 and 255.

    Nearly all of them were clipped. They are counted for schemes with a gain only.

    Attributes:
        ends (int): How many.
        values (int): Of how many.
    """

    def __init__(self, scheme: Scheme) -> None:
        self._gain = scheme.gain
        self.ends = self.values = 0

    def look(self, img: np.ndarray) -> None:
        """Count those of an encrypted image, uint8."""
        if self._gain != 1:
            # 255 becomes 0, and 0 becomes 1.
            self.add(int(np.count_nonzero(img + np.uint8(1) <= 1)), img.size)

    def add(self, ends: int, values: int) -> None:
        self.ends += ends
        self.values += values

    @property
    def share(self) -> float | None:
        """Of the values, those at an end; None where nothing was counted."""
        return self.ends / self.values if self.values else None

    def warnings(self) -> list[str]:
        """One sentence, or none."""
        if not self.values or self.share <= _MUCH:
            return []
        return [f'{self.share:.2%} of the values are clipped: a gain of {self._gain:g} is much for '
                'these images, and what is clipped is lost. Take a lower --gain']
