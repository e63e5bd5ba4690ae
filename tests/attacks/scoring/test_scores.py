"""``mmppvit.attacks.scoring.scores``: figures between floor and ceiling."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmppvit.attacks import Reconstruction
from mmppvit.attacks.scoring.image_metrics import MATCHERS
from mmppvit.attacks.scoring.scores import COLUMNS, as_it_is, mean_image, score_reconstructions


@pytest.fixture(scope='module')
def data(sealed):
    return sealed.settings('mix+shuffle', key_file=str(sealed.key_file)).load()


def test_ceiling(data):
    """The plain images in their true order get every point."""
    perfect = [Reconstruction(victim.plain, victim.order) for victim in data.victims]
    scores = score_reconstructions(data.scheme, data.victims, perfect)
    assert set(scores) == {'ssim', 'psnr', 'reidentified', 'neighbors', 'component', 'placed'}
    assert set(scores) == {column['key'] for column in COLUMNS}
    for key, score in scores.items():
        best = 100 if key == 'psnr' else 1
        assert score['mean'] == score['low'] == score['high'] == score['worst'] == best, key


def test_floor(data):
    """One image in place of all identifies nobody: each of three gets a third of the point."""
    mean = mean_image(data.pairs, data.victims[0].plain.shape[:2])
    assert mean.shape == data.victims[0].plain.shape
    assert mean.dtype == np.uint8
    scores = score_reconstructions(data.scheme, data.victims,
                              [Reconstruction(mean)] * len(data.victims))
    assert scores['reidentified']['mean'] <= .5
    assert scores['ssim']['mean'] < .9
    assert 'neighbors' not in scores, 'it gives no order'


def test_mean_image(data):
    one = [replace(pair, plain=np.full_like(pair.plain, value))
           for pair, value in zip(data.pairs[:2], (100, 103), strict=True)]
    np.testing.assert_array_equal(mean_image(one, (10, 12)), np.full((10, 12, 3), 102))


@pytest.mark.parametrize('scheme', ['mix', 'mix+shuffle', 'blur'])
def test_as_it_is(sealed, scheme):
    """The sealed image at the size of the plain one; its patches stay where they lie."""
    data = sealed.settings(scheme, key_file=str(sealed.key_file)).load()
    for victim in data.victims:
        reconstruction = as_it_is(victim)
        assert reconstruction.img.shape == victim.plain.shape
        assert reconstruction.img.dtype == np.uint8
        if victim.encrypted.shape == victim.plain.shape:
            np.testing.assert_array_equal(reconstruction.img, victim.encrypted)
        small = reconstruction.img.reshape(
            len(victim.encrypted), -1, victim.encrypted.shape[1],
            reconstruction.img.shape[1] // victim.encrypted.shape[1], 3).mean((1, 3))
        assert np.abs(small - victim.encrypted).mean() < 8
        if scheme == 'mix+shuffle':
            np.testing.assert_array_equal(reconstruction.order, np.arange(len(victim.order)))
        else:
            assert reconstruction.order is None


def test_the_matcher_that_found_most_is_named(data):
    reconstructions = [Reconstruction(victim.plain) for victim in data.victims]
    score = score_reconstructions(data.scheme, data.victims, reconstructions)['reidentified']
    assert score['matcher'] in MATCHERS


def test_a_detector_sees_what_was_reconstructed(data):
    reconstructions = [Reconstruction(np.full_like(victim.plain, 7)) for victim in data.victims]
    seen = []

    def detector(imgs):
        seen.extend(imgs)
        return dict(mean=.25, low=.1, high=.3, ap50=.5, count=len(imgs))

    scores = score_reconstructions(data.scheme, data.victims, reconstructions,
                                   judges=dict(ap=detector))
    assert scores['ap'] == dict(mean=.25, low=.1, high=.3, ap50=.5, count=3)
    assert all(img is each.img for img, each in zip(seen, reconstructions, strict=True))


def test_orders_are_scored_only_with_the_key(sealed, data):
    """And as the reconstruction says, not as the image looks."""
    reconstructions = [Reconstruction(victim.plain, np.roll(victim.order, 1))
                       for victim in data.victims]
    with_key = score_reconstructions(data.scheme, data.victims, reconstructions)
    assert with_key['placed']['mean'] < .2
    assert with_key['ssim']['mean'] == 1
    hidden = [replace(victim, order=None) for victim in data.victims]
    assert 'placed' not in score_reconstructions(data.scheme, hidden, reconstructions)


def test_the_worst_case_is_the_best_reconstruction(data):
    reconstructions = [Reconstruction(np.zeros_like(victim.plain)) for victim in data.victims]
    reconstructions[1] = Reconstruction(data.victims[1].plain)
    scores = score_reconstructions(data.scheme, data.victims, reconstructions)
    for key in ('ssim', 'psnr'):
        assert scores[key]['worst_index'] == 1
        assert scores[key]['worst'] > scores[key]['mean']


def test_one_reconstruction_each(data):
    with pytest.raises(ValueError, match='argument'):
        score_reconstructions(data.scheme, data.victims, [])
