"""Shares of bins."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmppvit.attacks.networks.place_bins import log_places, shares_of_bins


@pytest.mark.parametrize(('count', 'bins'), [(1, 32), (7, 32), (32, 32), (83, 32), (50, 8)])
def test_shares_add_up_and_lie_where_the_row_is(count, bins):
    shares = shares_of_bins(count, bins)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    middle = (np.arange(count) + .5) / count * bins - .5
    np.testing.assert_allclose(shares @ np.arange(bins, dtype=np.float32),
                               np.clip(middle, 0, bins - 1), atol=1e-4)


@pytest.mark.parametrize('shape', [(11, 15), (12, 16), (50, 84)])
def test_what_tells_nothing_is_chance_at_every_size(shape):
    """With 32 bins, some bins have no row of 12 and others none of 11."""
    for logs, count in zip(log_places(torch.zeros(3, 2, 32), shape), shape, strict=True):
        torch.testing.assert_close(logs, torch.full((3, count), -np.log(count)).float())


def test_what_was_learned_at_one_size_holds_at_another():
    """Logits that were fitted to 12 rows find those of 11 as well, better than by chance."""
    logits = torch.zeros(12, 2, 32, requires_grad=True)
    optimizer = torch.optim.Adam([logits], .3)
    for _ in range(30):
        loss = sum(torch.nn.functional.cross_entropy(logs, torch.arange(12))
                   for logs in log_places(logits, (12, 12)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        row, _ = log_places(logits, (11, 11))
    found = (row.exp() @ torch.arange(11.) + .5) / 11
    np.testing.assert_allclose(found, (np.arange(12) + .5) / 12, atol=.06)
    assert row.max(1).values.min() > -np.log(11) + .5
