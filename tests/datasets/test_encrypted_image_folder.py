"""Folders of classes: what is read, encrypted, and refused."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mmppvit.datasets.encrypted_image_folder import EncryptedImageFolder, ImageError, find_split
from mmppvit.datasets.image_encryption import ImageEncryption
from mmppvit.datasets.synthetic_classes import write_synthetic_classes
from mmppvit.encryption import mix_sub_patches, split_patches
from mmppvit.evaluation import TopAccuracy

TRANSFORM = dict(input_size=32, crop_pct=1.)


@pytest.fixture
def folder(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for split in ('train', 'validation'):
        for name in ('a', 'b'):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(2):
                img = rng.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(img).save(tmp_path / split / name / f'{i}.png')
    return tmp_path


def _data(root: Path, name: str = 'plain', training: bool = False, **kwargs
          ) -> EncryptedImageFolder:
    return EncryptedImageFolder(str(root), TRANSFORM, dict(name=name), training, **kwargs)


def _pixels(item: dict) -> np.ndarray:
    return item['inputs'].permute(1, 2, 0).numpy()


def _sorted_patches(img: np.ndarray, side: int) -> list:
    return sorted(split_patches(img, side).reshape(-1, side * side * 3).tolist())


def test_plain_images_are_those_of_the_files(folder):
    data = _data(folder / 'train')
    assert data.classes == ['a', 'b']
    assert [data[i]['label'] for i in range(4)] == [0, 0, 1, 1]
    img = np.asarray(Image.open(folder / 'train/a/0.png'))
    np.testing.assert_array_equal(_pixels(data[0]), img)
    assert data[0]['inputs'].dtype == torch.uint8


@pytest.mark.parametrize('training', [False, True])
def test_encryption_is_that_of_the_library(training):
    img = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    mixed = mix_sub_patches(img, 16, 2)
    for name, expected, side in (
            ('mix', mixed, 8), ('shuffle', img, 16), ('mix+shuffle', mixed, 8)):
        done = ImageEncryption(name, training=training)(img, 0)
        assert done.shape == expected.shape
        assert _sorted_patches(done, side) == _sorted_patches(expected, side)
        assert np.array_equal(done, expected) == (name == 'mix')


@pytest.mark.parametrize(('old', 'name'), [
    ('rs', 'shuffle'), ('mi', 'mix'), ('mi+rs', 'mix+shuffle')])
def test_former_names_mean_the_same(old, name):
    img = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    done = ImageEncryption(old)(img, 3)
    np.testing.assert_array_equal(done, ImageEncryption(name)(img, 3))


def test_permutations_are_new_in_training_and_fixed_in_evaluation():
    img = np.arange(64 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(64, 64, 3)
    img = np.random.default_rng(0).permutation(img.ravel()).reshape(img.shape)
    training = ImageEncryption('shuffle', training=True)
    assert not np.array_equal(training(img, 0), training(img, 0))
    evaluation = ImageEncryption('shuffle', seed=3)
    np.testing.assert_array_equal(evaluation(img, 0), ImageEncryption('shuffle', seed=3)(img, 0))
    assert not np.array_equal(evaluation(img, 0), evaluation(img, 1))
    assert not np.array_equal(evaluation(img, 0), ImageEncryption('shuffle', seed=4)(img, 0))


@pytest.mark.parametrize(('name', 'grid', 'message'), [
    ('swirl', 2, 'choose one of'), ('mix', 3, 'does not divide')])
def test_encryption_that_makes_no_sense(name, grid, message):
    with pytest.raises(ValueError, match=message):
        ImageEncryption(name, grid=grid)


def test_splits_by_their_usual_names(folder):
    assert find_split(folder, 'val').name == 'validation'
    (folder / 'validation').rename(folder / 'test')
    assert find_split(folder, 'val').name == 'test'
    (folder / 'test').rename(folder / 'other')
    with pytest.raises(FileNotFoundError, match='no folder val or validation or test'):
        find_split(folder, 'val')


def test_what_is_wrong_with_a_folder_is_said(folder):
    with pytest.raises(FileNotFoundError, match=r'no folder .*absent'):
        _data(folder / 'absent')
    with pytest.raises(ValueError, match='has no folders'):
        _data(folder / 'train/a')
    with pytest.raises(ValueError, match=r'lacks 1 class, e\.g\. c and has extra 1 class'):
        _data(folder / 'train', classes=['a', 'c'])
    (folder / 'train/empty').mkdir()
    with pytest.raises(ValueError, match='empty has no images'):
        _data(folder / 'train')


def test_hidden_files_and_folders_are_ignored(folder):
    expected = _data(folder / 'train').samples
    for name in ('.ipynb_checkpoints', 'a/.ipynb_checkpoints'):
        (folder / 'train' / name).mkdir()
        (folder / 'train' / name / '0.png').write_bytes(
            (folder / 'train/a/0.png').read_bytes())
    (folder / 'train/a/._0.png').write_bytes(b'')
    (folder / 'train/a/notes.txt').write_text('')
    data = _data(folder / 'train')
    assert data.classes == ['a', 'b']
    assert data.samples == expected


def test_every_file_type_of_sealing_and_images_in_subfolders(folder):
    img = Image.open(folder / 'train/a/0.png')
    (folder / 'train/a/deeper').mkdir()
    for name in ('2.BMP', '3.tiff', '4.webp', 'deeper/5.jpg'):
        img.save(folder / 'train/a' / name)
    data = _data(folder / 'train')
    assert [label for _, label in data.samples] == [0] * 6 + [1] * 2
    assert all(len(data[i]['inputs']) == 3 for i in range(len(data)))


def test_images_are_turned_as_exif_says(folder):
    img = Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint16).astype(np.uint8)
                          .reshape(32, 32, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    img.save(folder / 'train/a/0.jpg', quality=100, exif=exif, subsampling=0)
    data = _data(folder / 'train')
    shown = cv2.imread(str(folder / 'train/a/0.jpg'))[..., ::-1]
    index = [Path(path).name for path, _ in data.samples].index('0.jpg')
    np.testing.assert_array_equal(_pixels(data[index]), shown)
    assert np.abs(_pixels(data[index]).astype(int) - np.rot90(np.asarray(img), -1)).mean() < 10


@pytest.mark.parametrize('workers', [0, 1])
def test_a_damaged_image_is_one_line_also_from_a_worker(folder, workers):
    path = folder / 'train/b/1.png'
    path.write_bytes(path.read_bytes()[:300])
    loader = DataLoader(_data(folder / 'train'), 1, num_workers=workers)
    with pytest.raises(ImageError, match='replace or remove it') as caught:
        list(loader)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_accuracy():
    metric = TopAccuracy()
    for classes in (5, 6):
        samples = [dict(ranked=torch.tensor([1, 0, 2, 3, 4]), label=label, num_classes=classes)
                   for label in (1, 2, 3, 5)]
        metric.process({}, samples)
        figures = metric.evaluate(4)
        assert figures.pop('accuracy/top1') == 25
        assert figures == ({'accuracy/top5': 75} if classes > 5 else {})


def test_synthetic_classes_are_the_same_every_time(tmp_path):
    one, other = (write_synthetic_classes(tmp_path / name, 10, 6, 48) for name in 'ab')
    files = sorted(path.relative_to(one) for path in one.rglob('*.png'))
    assert len(files) == 16
    contents = {(one / file).read_bytes() for file in files}
    assert len(contents) == 16
    assert all((one / file).read_bytes() == (other / file).read_bytes() for file in files)
    stamp = (one / files[0]).stat().st_mtime_ns
    write_synthetic_classes(one, 10, 6, 48)
    assert (one / files[0]).stat().st_mtime_ns == stamp
    write_synthetic_classes(one, 6, 6, 48)
    assert len(list(one.rglob('*.png'))) == 12
    assert EncryptedImageFolder(str(one / 'val'), dict(input_size=48), dict(name='mix')
                                )[0]['inputs'].shape == (3, 24, 24)


def test_foreign_folders_are_not_drawn_over(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/a.txt').write_text('a')
    with pytest.raises(FileExistsError, match='something else than synthetic classes'):
        write_synthetic_classes(tmp_path / 'mine', 6, 6)
    with pytest.raises(ValueError, match='at least 6'):
        write_synthetic_classes(tmp_path / 'few', 5, 6)
