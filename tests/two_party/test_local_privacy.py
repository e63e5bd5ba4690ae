"""Epsilons are those of the Gaussian mechanism."""
from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from mmppvit.two_party.local_privacy import gaussian_epsilon, token_epsilon


@pytest.mark.parametrize('mu', [.1, 1., 5., 40.])
@pytest.mark.parametrize('delta', [1e-3, 1e-5])
def test_epsilon_is_the_smallest(mu, delta):
    """By the definition, over the sets {x > t} that tell N(mu, 1) from N(0, 1) best."""
    thresholds = np.linspace(-10, mu + 10, 200_001)

    def worst(epsilon):
        return (norm.sf(thresholds - mu) - np.exp(epsilon + norm.logsf(thresholds))).max()

    epsilon = gaussian_epsilon(mu, delta)
    assert worst(epsilon) == pytest.approx(delta, rel=1e-3)
    assert worst(.99 * epsilon) > delta


def test_steps_and_tokens_add_up():
    one = token_epsilon(100., 192, 20)
    assert one == pytest.approx(token_epsilon(100., 192, 5, tokens=4))
    assert one == pytest.approx(gaussian_epsilon(2 * math.sqrt(20 * 192) / 100, 1e-5))
    assert token_epsilon(1e9, 192, 20) == 0


@pytest.mark.parametrize(('mu', 'delta'), [(0, .1), (-1, .1), (1, 0), (1, 1)])
def test_wrong_arguments(mu, delta):
    with pytest.raises(ValueError, match='must be positive and delta'):
        gaussian_epsilon(mu, delta)
