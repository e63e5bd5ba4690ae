"""Data sets whose images cannot be read, for workers of data loaders."""
from __future__ import annotations

import numpy as np

from mmppvit.sealed.image_files import decode_image


class Refuses:
    """Raises what this project raises for an image that is none."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        decode_image(b'no image')


class Bug(Refuses):
    """Raises what NumPy raises."""

    def __getitem__(self, index: int) -> None:
        np.zeros(3) + np.zeros(4)
