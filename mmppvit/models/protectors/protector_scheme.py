"""A protector's file as a scheme: the network, which needs PyTorch, for NumPy's side."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mmppvit.encryption import LearnedScheme
from mmppvit.models.protectors import fingerprint, load_protector, protect_image

__all__ = ['ProtectorFile', 'bind_protector', 'learned_scheme']


class ProtectorFile:
    """The protector of a file as a function of images, loaded again in every process.

    It computes on one CPU thread whatever PyTorch is set to, as sums over another number of threads
    may be rounded another way, which moves pixels by a level.

    Args:
        path (str | Path): What :func:`mmppvit.models.protectors.load_protector` reads.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no protector.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._load()

    def _load(self) -> None:
        self.network, made_for = load_protector(self.path)
        self.made_for = made_for or ''
        self.fingerprint = fingerprint(self.network.state_dict())

    def __call__(self, img: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3), BGR, to the protected image of that size."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return protect_image(self.network, img)
        finally:
            torch.set_num_threads(threads)

    def __getstate__(self) -> dict:
        return dict(path=self.path, fingerprint=self.fingerprint)

    def __setstate__(self, state: dict) -> None:
        self.path = state['path']
        self._load()
        if self.fingerprint != state['fingerprint']:
            raise ValueError(f'{self.path} was replaced while it was in use: start again')


def learned_scheme(path: str | Path, patch_size: int = 1) -> LearnedScheme:
    """The scheme that protects with the network of a file.

    Args:
        path (str | Path): What :func:`mmppvit.models.protectors.load_protector` reads.
        patch_size (int): Protected images are padded to whole patches; 1 leaves their size.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no protector, or one of other images than color.
    """
    file = ProtectorFile(path)
    if file.network.in_channels != 3:
        raise ValueError(f'{path} protects images of {file.network.in_channels} channels, and '
                         'only those of 3 are sealed')
    return LearnedScheme(patch_size=patch_size, protector=file.fingerprint,
                         unet=file.network.settings, detector=file.made_for, protect=file)


def bind_protector(scheme: LearnedScheme, path: str | Path | None) -> LearnedScheme:
    """``scheme``, which a manifest tells, with the network that it was sealed with.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: None is given, it is no protector, or not the one of the scheme.
    """
    if path is None:
        raise ValueError('these images were protected by a network, and whoever attacks them has '
                         f'it: give its file by --protector (fingerprint {scheme.protector})')
    file = ProtectorFile(path)
    if file.fingerprint != scheme.protector:
        raise ValueError(f'{path} has the fingerprint {file.fingerprint}, and the images were '
                         f'sealed with the protector {scheme.protector}: give that one')
    return replace(scheme, protect=file)
