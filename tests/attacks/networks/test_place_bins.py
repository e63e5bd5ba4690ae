"""Shares of bins."""
from __future__ import annotations

import numpy as np
import pytest

from mmppvit.attacks.networks.place_bins import shares_of_bins


@pytest.mark.parametrize(('count', 'bins'), [(1, 32), (7, 32), (32, 32), (83, 32), (50, 8)])
def test_shares_add_up_and_lie_where_the_row_is(count, bins):
    shares = shares_of_bins(count, bins)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    middle = (np.arange(count) + .5) / count * bins - .5
    np.testing.assert_allclose(shares @ np.arange(bins, dtype=np.float32),
                               np.clip(middle, 0, bins - 1), atol=1e-4)
