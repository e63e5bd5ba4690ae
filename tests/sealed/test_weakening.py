"""What weakens a set is said while it is sealed."""
from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmppvit.encryption import Scheme, pad_to_patches
from mmppvit.sealed import SealJob, seal_dataset
from mmppvit.sealed.weakening import LookAlikes, look_of
from tests.sealed.jobs import make_job, two_scales


@pytest.fixture(scope='module')
def photo(coco_mini) -> np.ndarray:
    return cv2.imread(str(sorted((coco_mini / 'val2017').iterdir())[0]))


def _near(img: np.ndarray) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(0).normal(0, 8, img.shape)
    jpeg = cv2.imencode('.jpg', img, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return dict(jpeg=cv2.imdecode(jpeg, 1), noise=np.clip(img + noise, 0, 255).astype(np.uint8),
                shift=np.roll(img, 1, 1), equal=img)


@pytest.mark.parametrize('how', ['jpeg', 'noise', 'shift', 'equal'])
def test_near_duplicates(photo, key, tmp_path, how):
    (tmp_path / 'images').mkdir()
    cv2.imwrite(str(tmp_path / 'images/a.png'), photo)
    cv2.imwrite(str(tmp_path / 'images/b.png'), _near(photo)[how])
    cv2.imwrite(str(tmp_path / 'images/c.png'), cv2.flip(photo, 1))
    report = seal_dataset(SealJob(tmp_path / 'images', tmp_path / 'out', Scheme('mix+shuffle'),
                                  key=key))
    (warning, ) = [text for text in report.warnings if 'near-duplicates' in text]
    assert warning.startswith('1 pairs of images are near-duplicates, e.g. a.png and b.png')


def test_other_photographs_are_no_duplicates(coco_mini, key, tmp_path):
    job = SealJob(tmp_path / 'a', tmp_path / 'b', Scheme('mix+shuffle'), key=key)
    looks = LookAlikes(job)
    for path in sorted((coco_mini / 'val2017').iterdir()):
        looks.add(path.name, look_of(cv2.imread(str(path)), job))
    assert looks.warnings() == []


def test_two_scales_of_an_image(plain, key, tmp_path):
    warnings = seal_dataset(two_scales(plain, tmp_path / 'out', key)).warnings
    assert any('2 scales of every image are sealed' in text for text in warnings)


def test_two_schemes_of_an_image(plain, key, tmp_path):
    """In folders beside each other, and in those of a scheme each."""
    seal_dataset(make_job(plain, tmp_path / 'mix/train'))
    for out in ('mix+shuffle/train', 'mix/other'):
        warnings = seal_dataset(make_job(plain, tmp_path / out, key)).warnings
        assert any(f'8 images of these names are also sealed in {tmp_path / "mix/train"}' in text
                   for text in warnings), out
    seal_dataset(make_job(plain, tmp_path / 'mix/[a] *b'))
    warnings = seal_dataset(make_job(plain, tmp_path / 'shuffle/[a] *b', key)).warnings
    assert any(f'also sealed in {tmp_path / "mix/[a] *b"}' in text for text in warnings)
    hidden = make_job(plain, tmp_path / 'hidden/train', key, pseudonyms=True)
    seal_dataset(hidden)
    other = make_job(plain, tmp_path / 'hidden/more', key, Scheme('shuffle', grid=1))
    assert any('are also sealed' in text for text in seal_dataset(other).warnings)
    assert not any('also sealed' in text for text in seal_dataset(
        make_job(plain, tmp_path / 'elsewhere/deep/alone', key)).warnings)


def test_padding_is_no_mark_of_a_patch():
    """No row or column of one value, which marked the patches of the border before."""
    img = np.random.default_rng(0).integers(0, 256, (30, 45, 3), np.uint8)
    assert (pad_to_patches(img, 16)[30:] == 0).all()
    padded = pad_to_patches(img, 16, 'mirror')
    np.testing.assert_array_equal(padded[30:, :45], img[29:27:-1])
    np.testing.assert_array_equal(padded[:30, 45:], img[:, 44:41:-1])
    assert padded.std((0, 2)).min() > 10
    assert padded.std((1, 2)).min() > 10


