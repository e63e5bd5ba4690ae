"""What is done to gradients before they leave."""
from __future__ import annotations

import pytest
import torch

from mmppvit.two_party.defenses import GradientDefense

ROWS = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
IMAGES = [torch.zeros(30, 1), torch.zeros(10, 1)]


def test_nothing_is_done_by_default():
    assert torch.equal(GradientDefense()(ROWS, IMAGES), ROWS)


def test_groups_keep_the_sum_of_each_image():
    found = GradientDefense(group=10, seed=0)(ROWS, IMAGES)
    assert len(found.unique(dim=0)) == 4
    torch.testing.assert_close(found[:30].sum(0), ROWS[:30].sum(0))
    torch.testing.assert_close(found[30:], ROWS[30:].mean(0).expand(10, 8))


def test_dropping_keeps_the_mean():
    defense = GradientDefense(drop=.75, seed=0)
    found = torch.stack([defense(ROWS, IMAGES) for _ in range(2000)])
    kept = (found != 0).any(2).float().mean()
    assert kept == pytest.approx(.25, abs=.01)
    torch.testing.assert_close(found.mean(0), ROWS, atol=.35, rtol=0)


def test_clipping_and_noise():
    clipped = GradientDefense(clip=.5)(ROWS, IMAGES)
    limit = ROWS.norm(dim=1).median() / 2
    assert (clipped.norm(dim=1) <= limit * 1.0001).all()
    found = GradientDefense(clip=2., absolute=True, noise=3., seed=0)(ROWS * 0, IMAGES)
    assert found.std() == pytest.approx(3 * 2 / 8**.5, rel=.1)


@pytest.mark.parametrize('wrong', [
    dict(drop=1), dict(drop=-.1), dict(group=-1), dict(clip=-1), dict(noise=1)])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=r'negative|noise needs clip'):
        GradientDefense(**wrong)
