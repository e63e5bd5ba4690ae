"""Scores of reconstructed images: values that are known, and matchers that must find."""
from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmppvit.attacks.scoring.image_metrics import (
    MATCHERS,
    bootstrap_interval,
    psnr,
    reidentify,
    ssim,
    summarize,
)
from mmppvit.encryption import Scheme, downsample, pad_to_patches


def _image(seed: int = 0, height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def photographs(coco_mini) -> list[np.ndarray]:
    paths = sorted((coco_mini / 'val2017').glob('*.jpg'))[:24]
    return [pad_to_patches(cv2.resize(cv2.imread(str(path)), None, fx=.5, fy=.5), 16)
            for path in paths]


@pytest.mark.parametrize('step', [1, 10, 255])
def test_psnr_of_a_constant_error(step):
    img = np.zeros((32, 32, 3), np.uint8)
    assert psnr(img, img + np.uint8(step)) == pytest.approx(20 * np.log10(255 / step))


def test_equal_images():
    img = _image()
    assert psnr(img, img) == 100
    assert ssim(img, img) == pytest.approx(1)
    assert ssim(img, _image(1)) < .05
    blurred, more = (cv2.GaussianBlur(img, (9, 9), sigma) for sigma in (.5, 3))
    assert ssim(img, blurred) > ssim(img, more)


def test_ssim_is_that_of_the_formula_in_one_window():
    """An image of one window: Wang et al. 2004, equation 13, with unbiased variances."""
    x, y = _image(0, 7, 7), _image(1, 7, 7)
    values = []
    for a, b in zip(x.reshape(49, 3).T.astype(float), y.reshape(49, 3).T.astype(float),
                    strict=True):
        c1, c2, cov = (.01 * 255)**2, (.03 * 255)**2, np.cov(a, b)
        values.append((2 * a.mean() * b.mean() + c1) * (2 * cov[0, 1] + c2) /
                      ((a.mean()**2 + b.mean()**2 + c1) * (cov[0, 0] + cov[1, 1] + c2)))
    assert ssim(x, y) == pytest.approx(np.mean(values))


@pytest.mark.parametrize('score', [psnr, ssim])
def test_what_cannot_be_compared(score):
    with pytest.raises(ValueError, match='of shape'):
        score(_image(), _image(0, 48, 48))
    with pytest.raises(TypeError, match='8-bit images, got float64'):
        score(_image() / 1., _image() / 1.)


def test_ssim_of_a_image_that_is_too_small():
    with pytest.raises(ValueError, match='windows of 7 pixels'):
        ssim(_image(0, 6, 9), _image(1, 6, 9))


# --- intervals -----------------------------------------------------------------------------------


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        low, high = bootstrap_interval(rng.normal(5, 2, 40), resamples=400, seed=seed)
        covered += low <= 5 <= high
    assert .90 <= covered / 300 <= .98


def test_summary():
    summary = summarize([1., 5., 3.], seed=1)
    assert (summary.mean, summary.worst, summary.worst_index, summary.count) == (3., 5., 1, 3)
    assert 1 <= summary.low <= 3 <= summary.high <= 5
    assert summary == summarize([1., 5., 3.], seed=1)
    assert summarize([2.]).low == summarize([2.]).high == 2
    constant = summarize([.25] * 9)
    assert (constant.low, constant.high) == (.25, .25)


@pytest.mark.parametrize('scores', [[], [1., np.nan], [np.inf], [[1., 2.]]])
def test_what_has_no_interval(scores):
    with pytest.raises(ValueError, match='finite scores, one an image'):
        bootstrap_interval(scores)


# --- re-identification ---------------------------------------------------------------------------


def test_originals_are_found_by_every_matcher(photographs):
    found = reidentify(photographs, photographs)
    assert set(found.top1) == set(MATCHERS)
    for name in MATCHERS:
        assert found.summary(name).mean == 1, name
        np.testing.assert_array_equal(found.ranks[name], 1)
    assert found.chance == 1 / len(photographs)


def test_thumbnails_are_found(photographs):
    """What mixing leaves: 1/16 of the side."""
    small = [cv2.resize(downsample(img, 16), img.shape[1::-1]) for img in photographs]
    found = reidentify(photographs, small)
    assert found.summary('gray 16x16').mean == 1
    assert found.summary().mean == 1


def test_shuffled_patches_are_found_by_their_colors(photographs):
    rng = np.random.default_rng(0)
    shuffled = [img.reshape(-1, 3)[rng.permutation(img.size // 3)].reshape(img.shape)
                for img in photographs]
    found = reidentify(photographs, shuffled)
    assert found.best == 'color histogram'
    assert found.summary().mean == 1
    assert found.summary('gray 32x32').mean < .3


def test_centered_images_are_found_by_their_textures(photographs):
    scheme = Scheme('mix+center', center_strength=1.)
    centered = [cv2.resize(scheme.encrypt(img).img, img.shape[1::-1]) for img in photographs]
    found = reidentify(photographs, centered)
    assert found.summary('texture map').mean > .8
    assert found.summary().mean >= found.summary('texture map').mean


def test_what_says_nothing_is_found_by_chance():
    plain = [_image(seed) for seed in range(40)]
    found = reidentify(plain, [np.full((48, 64, 3), 128, np.uint8)] * 40)
    for name in ('gray 16x16', 'gray 32x32', 'color 16x16', 'gradients (HOG)', 'texture map'):
        assert found.summary(name).mean == pytest.approx(1 / 40), name
        np.testing.assert_allclose(found.ranks[name], 20.5)
    guessed = reidentify(plain, [_image(seed) for seed in range(100, 140)])
    assert guessed.summary().mean < .2
    for name in MATCHERS:
        assert guessed.ranks[name].mean() == pytest.approx(20.5, abs=6)


def test_images_of_other_sizes_are_matched_all_the_same(photographs):
    small = [cv2.resize(img, (96, 80), interpolation=cv2.INTER_AREA) for img in photographs]
    assert reidentify(photographs, small).summary().mean == 1


def test_as_many_of_each():
    with pytest.raises(ValueError, match='1 reconstructed images cannot be matched with 2'):
        reidentify([_image(), _image(1)], [_image()])
    with pytest.raises(ValueError, match='two at least'):
        reidentify([_image()], [_image()])
