"""CIFAR's binary files, made up here."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmppvit.datasets.cifar import CifarBinary, is_cifar


def write_cifar10(root: Path, per_file: int = 4) -> Path:
    """Images of one level each; of image k of file f it is 10 f + k, the label k."""
    root.mkdir(parents=True, exist_ok=True)
    (root / 'batches.meta.txt').write_text('\n'.join('abcdefghij') + '\n\n')
    names = [f'data_batch_{i}.bin' for i in range(1, 6)] + ['test_batch.bin']
    for number, name in enumerate(names):
        records = np.repeat(np.arange(per_file, dtype=np.uint8)[:, None] + 10 * number, 3073, 1)
        records[:, 0] = np.arange(per_file) % 10
        (root / name).write_bytes(records.tobytes())
    return root


def test_cifar_10(tmp_path):
    root = write_cifar10(tmp_path / 'cifar-10-batches-bin')
    assert is_cifar(root)
    train, val = (CifarBinary(root, split) for split in ('train', 'val'))
    assert (len(train), len(val)) == (20, 4)
    assert train.classes == list('abcdefghij')
    item = train[9]  # the second of the third file
    assert item['label'] == 1
    assert item['inputs'].shape == (3, 32, 32)
    assert (item['inputs'] == 21).all()


def test_planes_are_red_green_blue_and_rows(tmp_path):
    root = write_cifar10(tmp_path / 'c')
    image = np.random.default_rng(0).integers(0, 256, (3, 32, 32), np.uint8)
    (root / 'test_batch.bin').write_bytes(bytes([7]) + image.tobytes())
    item = CifarBinary(root, 'val')[0]
    assert item['label'] == 7
    assert (item['inputs'].numpy() == image).all()


def test_cifar_100_has_the_fine_label_last(tmp_path):
    (tmp_path / 'fine_label_names.txt').write_text('\n'.join(f'c{i}' for i in range(100)))
    record = bytes([3, 42]) + bytes(3072)
    for name in ('train.bin', 'test.bin'):
        (tmp_path / name).write_bytes(2 * record)
    found = CifarBinary(tmp_path, 'train')
    assert (len(found), len(found.classes), found[1]['label']) == (2, 100, 42)


def test_crops_of_the_padded_image_in_training(tmp_path):
    data = CifarBinary(write_cifar10(tmp_path / 'c'), 'train', training=True)
    black = [int((data[3]['inputs'] == 0).sum()) // 3 for _ in range(40)]
    assert 0 <= min(black) < max(black) <= 32**2 - 28**2
    assert all((CifarBinary(data.root, 'train')[3]['inputs'] == 3).all() for _ in range(3))


def test_what_is_not_whole_or_not_binary(tmp_path):
    assert not is_cifar(tmp_path)
    with pytest.raises(ValueError, match='name the folder of a binary CIFAR'):
        CifarBinary(tmp_path, 'train')
    root = write_cifar10(tmp_path / 'c')
    content = (root / 'test_batch.bin').read_bytes()
    (root / 'test_batch.bin').write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r'test_batch\.bin is cut short'):
        CifarBinary(root, 'val')
    (root / 'data_batch_3.bin').unlink()
    with pytest.raises(FileNotFoundError, match=r'data_batch_3\.bin: unpack the whole archive'):
        CifarBinary(root, 'train')
    (tmp_path / 'batches.meta').write_bytes(b'\x80')
    with pytest.raises(ValueError, match='pickles are not read: take the binary version'):
        is_cifar(tmp_path)
