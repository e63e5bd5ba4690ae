"""Baselines as schemes, so that they seal, train and are attacked like any other."""
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmppvit.encryption.degradations import (
    MAX_BLUR,
    MAX_NOISE,
    add_noise,
    blur,
    downsample,
    pixelate,
)
from mmppvit.encryption.marks import has_blocks, has_noise, has_small_steps
from mmppvit.encryption.patches import pad_to_patches
from mmppvit.encryption.schemes.base import Change, Scheme

__all__ = ['BASELINES', 'STRENGTHS', 'BaselineScheme']

BASELINES = ('blur', 'pixelate', 'downsample', 'noise', 'downsample+shuffle')
# The most that each of those may have that have a strength.
STRENGTHS = dict(blur=MAX_BLUR, pixelate=10_000., noise=MAX_NOISE)
_MEANING = dict(blur='sigma in pixels', pixelate='side of a block in pixels',
                noise='sigma in levels')


@dataclass(frozen=True)
class BaselineScheme(Scheme):
    """Blur, pixelate, add noise, or make smaller and perhaps shuffle, as ``name`` says.

    Patches are those of the model that reads the image: it is padded to whole ones, after blur,
    pixelation and noise, and before downsampling. The noise of an image follows from its pixels
    and its id (SHA-256), so that a run that is resumed gives the same file; that is no secret from
    somebody who can guess the whole image.

    Args:
        name (str): One of :data:`BASELINES`.
        patch_size, grid, erode, drop: As for :class:`Scheme`. ``grid`` is the factor of
            downsampling, 1 for those that do not.
        center_strength, normalize, gain: 0, False and 1.
        strength (float): Of blur and noise sigma, see :func:`blur` and :func:`add_noise`; of
            pixelation the side of a block, a whole number; 0 for the others.

    Raises:
        ValueError: A parameter is out of range, or has no meaning for this scheme.
    """
    strength: float = 0.
    names: ClassVar[tuple[str, ...]] = BASELINES
    format_version: ClassVar[int] = 2
    baseline: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        most = STRENGTHS.get(self.name)
        if most is None:
            if self.strength:
                raise ValueError(f'scheme {self.name} has no strength: it must be 0, not '
                                 f'{self.strength}')
        elif not 0 < self.strength <= most:
            raise ValueError(f'strength of scheme {self.name}, the {_MEANING[self.name]}, must be '
                             f'above 0 and at most {most:g}, got {self.strength}')
        elif self.name == 'pixelate' and not self.strength.is_integer():
            raise ValueError(f'strength of scheme pixelate, the {_MEANING["pixelate"]}, must be a '
                             f'whole number, got {self.strength}')

    @property
    def shrinks(self) -> bool:
        return 'downsample' in self.name

    @property
    def noisy(self) -> bool:
        return self.name == 'noise'

    def _losses_of_hiding(self) -> list[str]:
        if self.shrinks:
            return [f'downsampling keeps 1 of {self.grid**2} numbers']
        return ['it has no key']

    def obstacle(self, change: Change) -> str | None:
        """Blur reaches over the borders of patches, blocks of pixels may, and noise has a level."""
        if self.name == 'blur' and change is Change.CROP:
            return 'what is cut away has been blurred into what stays'
        if self.name == 'pixelate' and change is Change.CROP and self.patch_size % self.strength:
            return (f'blocks of {self.strength:g} pixels do not divide patches of '
                    f'{self.patch_size}, so it would cut them up')
        if self.name == 'noise' and change is Change.COLOR:
            return 'it would change the noise as well'
        return None

    def _lacks_marks_of_hiding(self, img: np.ndarray) -> bool:
        """Blur leaves small steps, pixelation blocks of one color, noise noise; a smaller size is
        not judged."""
        if self.name == 'blur':
            return not has_small_steps(img, self.strength, self.patch_size)
        if self.name == 'pixelate':
            return not has_blocks(img, int(self.strength), self.patch_size)
        return self.name == 'noise' and not has_noise(img, self.strength)

    def _hide(self, img: np.ndarray, image_id: str, pad_val: float | str) -> np.ndarray:
        if self.name == 'blur':
            img = blur(img, self.strength)
        elif self.name == 'pixelate':
            img = pixelate(img, int(self.strength))
        elif self.name == 'noise':
            img = add_noise(img, self.strength, _noise_seed(img, image_id))
        img = pad_to_patches(img, self.patch_size, pad_val)
        return downsample(img, self.grid)


def _noise_seed(img: np.ndarray, image_id: str) -> bytes:
    digest = hashlib.sha256(f'mmppvit/1/noise/{img.shape}/'.encode())
    digest.update(f'{image_id}\n'.encode(errors='surrogatepass'))
    digest.update(np.ascontiguousarray(img))
    return digest.digest()
