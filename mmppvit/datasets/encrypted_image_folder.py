"""Class folders, read as encrypted images."""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import DATASETS
from PIL import Image
from torch.utils.data import Dataset

from mmppvit.datasets.image_encryption import ImageEncryption
from mmppvit.sealed.plain_images import list_folder, read_plain

__all__ = ['EncryptedImageFolder', 'ImageError', 'find_split']

_SPLITS = dict(train=('train', ), val=('val', 'validation', 'test'))


class ImageError(ValueError):
    """An unreadable image; one line, also when a worker of the data loader raised it."""

    def __init__(self, message: str) -> None:  # PyTorch passes the worker's traceback
        super().__init__(message.rstrip().splitlines()[-1].split('ImageError: ')[-1])


def find_split(root: str | os.PathLike, split: str) -> Path:
    """The folder of a split; 'val' may also be called ``validation`` or ``test``.

    Args:
        root (str | PathLike): Folder of the data set.
        split (str): 'train' or 'val'.

    Raises:
        FileNotFoundError: There is no such folder.
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

    They are read as detectors and sealing read them: see :func:`mmppvit.sealed.read_plain`. Hidden
    files and folders (``.ipynb_checkpoints``) are ignored.

    Args:
        root (str): Folder with one folder per class.
        transform (dict): Arguments of ``timm.data.create_transform``.
        encryption (dict): ``name``, ``patch_size`` and ``grid`` of :class:`ImageEncryption`.
        training (bool): Augment, and draw new permutations each time.
        seed (int): Of the permutations in evaluation.
        classes (Sequence[str], optional): Raise an error if these are not the classes found.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There are no classes, one is empty, or they differ from ``classes``.
    """

    def __init__(self, root: str, transform: dict, encryption: dict, training: bool = False,
                 seed: int = 0, classes: list[str] | None = None) -> None:
        self.root = Path(root).expanduser()
        self.classes = _find_classes(self.root)
        if classes is not None and list(classes) != self.classes:
            _explain_difference(self.root, set(classes), set(self.classes))
        self.samples = _find_samples(self.root, self.classes)
        self.metainfo = dict(classes=tuple(self.classes))
        self.encrypt = ImageEncryption(**encryption, training=training, seed=seed)
        from timm.data import create_transform  # takes seconds, and detectors do not need it
        self.transform: Callable = create_transform(
            **transform, is_training=training, normalize=False)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict:
        """``inputs``, uint8 (3, H, W), RGB, and ``label``, int.

        Raises:
            ImageError: The file is damaged, or not an image.
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


def _find_classes(root: Path) -> list[str]:
    """Names of the class folders, sorted."""
    if not root.is_dir():
        raise FileNotFoundError(f'no folder {root}: name one that has a folder for each class')
    classes = sorted(entry.name for entry in os.scandir(root)
                     if entry.is_dir() and not entry.name.startswith('.'))
    if not classes:
        raise ValueError(f'{root} has no folders: it needs one for each class, with its images')
    return classes


def _find_samples(root: Path, classes: list[str]) -> list[tuple[str, int]]:
    """Path and class of every image, sorted by class."""
    samples = []
    for label, name in enumerate(classes):
        found = [os.path.join(root, name, file) for file in list_folder(root / name)[0]
                 if not any(part.startswith('.') for part in file.split('/'))]
        if not found:
            raise ValueError(f'{root / name} has no images: add some, or remove the folder')
        samples += [(path, label) for path in found]
    return samples


def _explain_difference(root: Path, expected: set[str], found: set[str]) -> None:
    missing, extra = sorted(expected - found), sorted(found - expected)
    parts = [f'{what} {len(names)} class{"es" * (len(names) > 1)}, e.g. {names[0]}'
             for what, names in (('lacks', missing), ('has extra', extra)) if names]
    raise ValueError(f'{root} {" and ".join(parts)}: train and val need the same class folders')
