"""``mmppvit.attacks.scoring``: figures between floor and ceiling."""
from __future__ import annotations

from dataclasses import replace

from mmppvit.attacks import Recovery
from mmppvit.attacks.scoring import COLUMNS, mean_picture, score_recoveries

import numpy as np
import pytest


@pytest.fixture(scope='module')
def material(sealed):
    return sealed.settings('mix+shuffle', key_file=str(sealed.key_file)).load()


def test_ceiling(material):
    """The plain pictures in their true order get every point."""
    perfect = [Recovery(victim.plain, victim.order) for victim in material.victims]
    scores = score_recoveries(material.scheme, material.victims, perfect)
    assert set(scores) == {'ssim', 'psnr', 'reidentified', 'neighbours', 'component', 'placed'}
    assert set(scores) < {column['key'] for column in COLUMNS}
    for key, score in scores.items():
        best = 100 if key == 'psnr' else 1
        assert score['mean'] == score['low'] == score['high'] == score['worst'] == best, key


def test_floor(material):
    """One picture in place of all identifies nobody: each of three gets a third of the point."""
    mean = mean_picture(material.pairs, material.victims[0].plain.shape[:2])
    assert mean.shape == material.victims[0].plain.shape
    assert mean.dtype == np.uint8
    scores = score_recoveries(material.scheme, material.victims,
                              [Recovery(mean)] * len(material.victims))
    assert scores['reidentified']['mean'] <= .5
    assert scores['ssim']['mean'] < .9
    assert 'neighbours' not in scores, 'it gives no order'


def test_mean_picture(material):
    one = [replace(pair, plain=np.full_like(pair.plain, value))
           for pair, value in zip(material.pairs[:2], (100, 103), strict=True)]
    np.testing.assert_array_equal(mean_picture(one, (10, 12)), np.full((10, 12, 3), 102))


def test_orders_are_scored_only_with_the_key(sealed, material):
    """And as the recovery says, not as the picture looks."""
    recoveries = [Recovery(victim.plain, np.roll(victim.order, 1)) for victim in material.victims]
    with_key = score_recoveries(material.scheme, material.victims, recoveries)
    assert with_key['placed']['mean'] < .2
    assert with_key['ssim']['mean'] == 1
    hidden = [replace(victim, order=None) for victim in material.victims]
    assert 'placed' not in score_recoveries(material.scheme, hidden, recoveries)


def test_the_worst_case_is_the_best_recovery(material):
    recoveries = [Recovery(np.zeros_like(victim.plain)) for victim in material.victims]
    recoveries[1] = Recovery(material.victims[1].plain)
    scores = score_recoveries(material.scheme, material.victims, recoveries)
    for key in ('ssim', 'psnr'):
        assert scores[key]['worst_index'] == 1
        assert scores[key]['worst'] > scores[key]['mean']


def test_one_recovery_each(material):
    with pytest.raises(ValueError, match='argument'):
        score_recoveries(material.scheme, material.victims, [])
