"""CIFAR-10 and CIFAR-100 from their binary version."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import DATASETS
from torch.utils.data import Dataset

__all__ = ['CifarBinary', 'is_cifar']

_SIDE = 32
_PIXELS = 3 * _SIDE**2
# A file that tells which it is: names of classes; bytes before the pixels, the label last; files.
_KINDS = {
    'batches.meta.txt': (1, dict(train=[f'data_batch_{i}.bin' for i in range(1, 6)],
                                 val=['test_batch.bin'])),
    'fine_label_names.txt': (2, dict(train=['train.bin'], val=['test.bin'])),
}


def is_cifar(root: str | Path) -> bool:
    """Whether ``root`` is the folder of a binary CIFAR.

    Raises:
        ValueError: It is that of the Python version, whose files are pickles.
    """
    root = Path(root)
    if (root / 'batches.meta').is_file() or (root / 'meta').is_file():
        raise ValueError(f'{root} is the Python version of CIFAR, whose pickles are not read: take '
                         'the binary version (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz)')
    return any((root / name).is_file() for name in _KINDS)


@DATASETS.register_module()
class CifarBinary(Dataset):
    """Images of 32x32, and what Ito et al. (IEEE Access 2021) augment with: crops of the image
    with four black pixels around it, and flips.

    Args:
        root (str): ``cifar-10-batches-bin`` or ``cifar-100-binary``.
        split (str): 'train' or 'val', which is CIFAR's test set; 'held_out' for the part of the
            training images that ``held_out`` takes away from 'train'.
        training (bool): Augment.
        indices (int, optional): Only so many, the first.
        classes (Sequence[str], optional): Not asked: the folder says.
        held_out (float): Share of the training images, of every class alike, that are no part of
            'train': scikit-learn's stratified split.
        held_out_seed (int): Of that split; 300 is Ito et al.'s.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The folder is no binary CIFAR, or a file is cut short.
    """

    def __init__(self, root: str, split: str, training: bool = False, indices: int | None = None,
                 classes: Sequence[str] | None = None, held_out: float = 0.,
                 held_out_seed: int = 300) -> None:
        self.root = Path(root)
        if not is_cifar(root):
            raise ValueError(f'{root} has none of {", ".join(_KINDS)}: name the folder of a binary '
                             'CIFAR')
        names = next(name for name in _KINDS if (self.root / name).is_file())
        head, files = _KINDS[names]
        self.classes = (self.root / names).read_text().split()
        source = 'train' if split == 'held_out' else split
        records = np.concatenate([_read(self.root / file, head) for file in files[source]])
        if source == 'train' and (held_out or split == 'held_out'):
            records = records[_split(records[:, head - 1], held_out, held_out_seed)[split]]
        records = records[:indices]
        self.labels = records[:, head - 1].tolist()
        self.images = torch.from_numpy(records[:, head:].reshape(-1, 3, _SIDE, _SIDE))
        self.metainfo = dict(classes=tuple(self.classes))
        # Not above: torchvision takes seconds, and detectors need none of this.
        from torchvision.transforms import Compose, RandomCrop, RandomHorizontalFlip
        steps = [RandomCrop(_SIDE, padding=4), RandomHorizontalFlip()] if training else []
        self.transform = Compose(steps)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        """``inputs``, uint8 (3, 32, 32), RGB, and ``label``."""
        return dict(inputs=self.transform(self.images[index]), label=self.labels[index])


def _read(path: Path, head: int) -> np.ndarray:
    """uint8 (N, head + 3072)."""
    if not path.is_file():
        raise FileNotFoundError(f'no {path}: unpack the whole archive of CIFAR')
    content = np.fromfile(path, np.uint8)
    if not len(content) or len(content) % (head + _PIXELS):
        raise ValueError(f'{path} is cut short: its {len(content)} bytes are no whole number of '
                         f'records of {head + _PIXELS}')
    return content.reshape(-1, head + _PIXELS)


def _split(labels: np.ndarray, held_out: float, seed: int) -> dict[str, np.ndarray]:
    """Indices of 'train' and 'held_out'."""
    if not 0 < held_out < 1:
        raise ValueError(f'held_out must be a share of the training images, e.g. 0.1, got '
                         f'{held_out}')
    try:
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise ValueError('held_out needs scikit-learn: pip install scikit-learn') from None
    train, rest = train_test_split(
        np.arange(len(labels)), test_size=held_out, shuffle=True, stratify=labels,
        random_state=seed)
    return dict(train=train, held_out=rest)
