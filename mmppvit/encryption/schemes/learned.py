"""Learned protection as a scheme: a network that somebody trained, named by its fingerprint."""
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import Field, dataclass, field
from typing import ClassVar

import numpy as np

from mmppvit.encryption.patches import pad_to_patches
from mmppvit.encryption.schemes.base import Change, Scheme

__all__ = ['LEARNED', 'LearnedScheme']

LEARNED = 'learned'


@dataclass(frozen=True)
class LearnedScheme(Scheme):
    """An image becomes what a protection network makes of it, of the same size (Ito et al., IEEE
    Access 2021). There is no key: whoever has the network makes pairs of plain and protected.

    The network itself is not in here, which needs PyTorch, but what tells it from others. To
    encrypt, ``protect`` has to be given;
    :func:`mmppvit.models.protectors.protector_scheme.bind_protector` does.

    Args:
        name (str): 'learned'.
        patch_size (int): Protected images are padded to whole patches of this side; 1, the
            default, leaves the size of the plain image.
        grid, center_strength, normalize, erode, drop, gain: 1, 0, False, 0, 0 and 1.
        protector (str): Fingerprint of the network's weights, 32 hex digits.
        unet (dict): Settings of the network, plain values as JSON has them.
        detector (str): Fingerprint of the frozen model that the network was trained for, 32 hex
            digits, or '' if that is not known.
        protect (Callable, optional): The network: uint8 (H, W, 3), BGR, to the same. It is no part
            of what :meth:`to_dict` tells, nor of comparisons.

    Raises:
        ValueError: A parameter is out of range, or has no meaning for this scheme.
    """
    name: str = LEARNED
    patch_size: int = 1
    grid: int = 1
    protector: str = ''
    unet: dict = field(default_factory=dict, hash=False)
    detector: str = ''
    protect: Callable[[np.ndarray], np.ndarray] | None = field(
        default=None, compare=False, repr=False)
    names: ClassVar[tuple[str, ...]] = (LEARNED, )
    format_version: ClassVar[int] = 3
    needs_protector: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for what, value in (('protector', self.protector), ('detector', self.detector or '0' * 32)):
            if re.fullmatch('[0-9a-f]{32}', value) is None:
                raise ValueError(f'{what} must be a fingerprint of 32 hex digits, got '
                                 f'{value!r:.80}')

    @classmethod
    def _parameters(cls) -> list[Field]:
        return [field for field in super()._parameters() if field.name != 'protect']

    def _losses_of_hiding(self) -> list[str]:
        return ['a protection network has no inverse']

    def obstacle(self, change: Change) -> str | None:
        return 'a protection network commutes with nothing: leave it out'

    def _lacks_marks_of_hiding(self, img: np.ndarray) -> bool:
        return False  # what a network leaves in an image depends on the network

    def describe(self) -> str:
        channels = '-'.join(map(str, self.unet.get('arch', {}).get('channels', ())))
        return f'learned, protector {self.protector[:8]}, U-Net of {channels} channels'

    def _hide(self, img: np.ndarray, image_id: str, pad_val: float | str) -> np.ndarray:
        if self.protect is None:
            raise ValueError('scheme learned needs the protector of fingerprint '
                             f'{self.protector}: give its file by --protector')
        if img.dtype != np.uint8:
            raise TypeError(f'protection works on 8-bit images, got {img.dtype}; convert to uint8 '
                            'first')
        return pad_to_patches(self.protect(img), self.patch_size, pad_val)
