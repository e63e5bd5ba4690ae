"""Sealed images as the host gets them beforehand: patches in the order of their bytes."""
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from mmppvit.two_party.messages import ProtocolError
from mmppvit.utils.atomic import write_atomic

__all__ = ['MOTIONS', 'PatchStore', 'cut_patches', 'move_patches', 'sorted_order', 'write_store']

MOTIONS = 8  # flips and quarter turns of a square


def cut_patches(image: Tensor, side: int) -> Tensor:
    """(C, H, W) -> (N, C, side, side), row by row."""
    channels, height, width = image.shape
    x = image.view(channels, height // side, side, width // side, side)
    return x.permute(1, 3, 0, 2, 4).reshape(-1, channels, side, side)


def sorted_order(patches: Tensor) -> Tensor:
    """(N, ) int64: the order of the patches' bytes, which says nothing about their places."""
    rows = np.ascontiguousarray(patches.flatten(1).numpy())
    keys = rows.view(np.dtype((np.void, rows.shape[1]))).ravel()
    return torch.from_numpy(np.argsort(keys, kind='stable'))


def move_patches(patches: Tensor, motion: int) -> Tensor:
    """Flip or turn every patch in its place: one of :data:`MOTIONS`, 0 for none."""
    if motion & 1:
        patches = patches.flip(3)
    if motion & 2:
        patches = patches.flip(2)
    return patches.transpose(2, 3) if motion & 4 else patches


def canonical(patches: Tensor) -> Tensor:
    """The patches in the order of their bytes."""
    return patches[sorted_order(patches)].contiguous()


def digest_of(patches: Tensor) -> bytes:
    """SHA-256 of patches in their order."""
    return hashlib.sha256(patches.numpy().tobytes()).digest()


def write_store(path: str | Path, images: Sequence[np.ndarray], side: int) -> str:
    """Write images for the host, without names, places and shapes; returns the file's SHA-256.

    Args:
        path (str | Path): ``.safetensors`` file.
        images (Sequence[ndarray]): (H, W, C) uint8 as the backbone sees them, channels in its
            order, sides multiples of ``side``.
        side (int): Pixels of a patch.
    """
    tensors = {}
    for i, image in enumerate(images):
        channels_first = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        tensors[str(i)] = canonical(cut_patches(channels_first, side)).numpy()
    content = save(tensors)
    write_atomic(path, content, sync=True)
    return hashlib.sha256(content).hexdigest()


class PatchStore:
    """A file of :func:`write_store`, read as it is needed.

    Args:
        path (str | Path): The file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is not such a file.
    """

    def __init__(self, path: str | Path) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f'no file of patches {path}: the owner makes it with '
                                    'mmppvit owner --patches')
        with open(path, 'rb') as file:
            self.digest = hashlib.file_digest(file, 'sha256').hexdigest() \
                if hasattr(hashlib, 'file_digest') else hashlib.sha256(file.read()).hexdigest()
        try:
            self._file = safe_open(path, framework='pt')
            names = set(self._file.keys())
        except SafetensorError as err:
            raise ValueError(f'{path} is no file of patches: {err}') from err
        if names != {str(i) for i in range(len(names))}:
            raise ValueError(f'{path} is no file of patches')
        self._len = len(names)

    def __len__(self) -> int:
        return self._len

    def get(self, item: object) -> Tensor:
        """Patches of ``[index, motion]``, in the order of their bytes after the motion."""
        if not isinstance(item, list) or len(item) != 2 or any(type(x) is not int for x in item):
            raise ProtocolError('a stored image is named by index and motion')
        index, motion = item
        if not (0 <= index < self._len and 0 <= motion < MOTIONS):
            raise ProtocolError(f'there is no stored image {index} with motion {motion}')
        patches = self._file.get_tensor(str(index))
        if patches.dtype != torch.uint8 or patches.ndim != 4 or not patches.numel() \
                or patches.shape[2] != patches.shape[3]:
            raise ProtocolError(f'stored image {index} is no patches: the file is not one of '
                                'mmppvit owner --patches')
        return canonical(move_patches(patches, motion))

    def digests(self) -> dict[bytes, tuple[int, int]]:
        """Index and motion of every image, by the digest of its patches."""
        found: dict[bytes, tuple[int, int]] = {}
        for i in range(self._len):
            for motion in range(MOTIONS):
                found.setdefault(digest_of(self.get([i, motion])), (i, motion))
        return found
