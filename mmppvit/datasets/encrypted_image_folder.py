"""Folders of classes, read as encrypted images."""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import DATASETS
from PIL import Image
from timm.data import create_transform
from torch.utils.data import Dataset

from mmppvit.datasets.image_encryption import ImageEncryption
from mmppvit.sealed.plain_images import list_folder, read_plain

__all__ = ['EncryptedImageFolder', 'ImageError', 'find_split']

_SPLITS = dict(train=('train', ), val=('val', 'validation', 'test'))


class ImageError(ValueError):
    """An image that cannot be read; one line, also when a worker of the data loader raised it."""

    def __init__(self, message: str) -> None:  # PyTorch hands on the worker's whole traceback
        super().__init__(message.rstrip().splitlines()[-1].split('ImageError: ')[-1])


def find_split(root: str | os.PathLike, split: str) -> Path:
    """Folder of ``split`` ('train' or 'val') below ``root``; ``validation`` and ``test`` are val.

    Raises:
        FileNotFoundError: There is none.
    """
    names = _SPLITS[split]
    for name in names:
        if (Path(root) / name).is_dir():
            return Path(root) / name
    raise FileNotFoundError(f'{root} has no folder {" or ".join(names)}: a data set is a folder '
                            'with train/CLASS/*.jpg and val/CLASS/*.jpg')


@DATASETS.register_module()
class EncryptedImageFolder(Dataset):
    """Images ``root/CLASS/**``, augmented by timm and then encrypted.

    They are read as detectors and sealing read them: see :func:`mmppvit.sealed.read_plain`.

    Args:
        root (str): Folder with one folder a class.
        transform (dict): Arguments of ``timm.data.create_transform``.
        encryption (dict): ``name``, ``patch_size`` and ``grid`` of :class:`ImageEncryption`.
        training (bool): Augment, and draw fresh orders.
        seed (int): Of the orders in evaluation.
        classes (Sequence[str], optional): The classes that have to be there.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There are no classes, one is empty, or they are not ``classes``.
    """

    def __init__(self, root: str, transform: dict, encryption: dict, training: bool = False,
                 seed: int = 0, classes: list[str] | None = None) -> None:
        self.root = Path(root)
        self.classes, self.samples = _scan(self.root)
        if classes is not None and list(classes) != self.classes:
            _explain_difference(self.root, set(classes), set(self.classes))
        self.metainfo = dict(classes=tuple(self.classes))
        self.encrypt = ImageEncryption(**encryption, training=training, seed=seed)
        self.transform: Callable = create_transform(
            **transform, is_training=training, normalize=False)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict:
        """``inputs``, uint8 (3, H, W), and ``label``.

        Raises:
            ImageError: The file is damaged, or no image.
        """
        path, label = self.samples[index]
        try:
            image = Image.fromarray(read_plain(path).img[..., ::-1])
        except OSError as err:
            reason = str(err).splitlines()[0] if str(err) else type(err).__name__
            raise ImageError(f'{path} cannot be read as an image ({reason}): replace or remove '
                               'it') from err
        img = np.asarray(self.transform(image)).transpose(1, 2, 0)
        img = self.encrypt(np.ascontiguousarray(img), index)
        return dict(inputs=torch.from_numpy(img).permute(2, 0, 1).contiguous(), label=label)


def _scan(root: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """Classes by name, and path and class of every image."""
    if not root.is_dir():
        raise FileNotFoundError(f'no folder {root}: name one that has a folder for each class')
    classes = sorted(entry.name for entry in os.scandir(root)
                     if entry.is_dir() and not entry.name.startswith('.'))
    if not classes:
        raise ValueError(f'{root} has no folders: it needs one for each class, with its images')
    samples = []
    for label, name in enumerate(classes):
        found = [os.path.join(root, name, file) for file in list_folder(root / name)[0]
                 if not any(part.startswith('.') for part in file.split('/'))]
        if not found:
            raise ValueError(f'{root / name} has no images: add some, or remove the folder')
        samples += [(path, label) for path in found]
    return classes, samples


def _explain_difference(root: Path, expected: set[str], found: set[str]) -> None:
    missing, extra = sorted(expected - found), sorted(found - expected)
    parts = [f'{what} {len(names)}, e.g. {names[0]}'
             for what, names in (('lacks', missing), ('has more by', extra)) if names]
    raise ValueError(f'{root} {" and ".join(parts)}: train and val need the same folders of '
                     'classes')
