"""``mmppvit.attacks.attackers.interface``: the time that attackers have."""
from __future__ import annotations

import pytest

from mmppvit.attacks import Budget


def test_nothing_is_used_up_at_once():
    budget = Budget(0.)
    assert budget.exhausted
    assert budget.share_used == 1
    assert budget.part(.5).exhausted


def test_infinity_is_never_used_up():
    budget = Budget()
    assert budget.share_used == 0
    assert not budget.part(.1).exhausted


def test_parts_are_of_what_is_left():
    budget = Budget(1000.)
    assert 0 <= budget.share_used < .5
    assert budget.part(.25).seconds == pytest.approx(250, rel=.1)
