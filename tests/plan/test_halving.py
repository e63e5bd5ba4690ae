"""Who goes on after the first part."""
from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmppvit.plan.halving import Standing, first_part, order_of_merit, survivors

standings = st.lists(
    st.builds(Standing, name=st.uuids().map(str), map=st.sampled_from([0., .1, .2, .3, .4]),
              hidden=st.sampled_from([1., 2., 3.]), plain=st.booleans()),
    max_size=9)


@given(standings)
def test_plain_and_the_better_half_rounded_up(given_ones):
    kept = survivors(given_ones)
    plain = {one.name for one in given_ones if one.plain}
    others = [one for one in given_ones if not one.plain]
    assert plain <= kept
    assert len(kept - plain) == math.ceil(len(others) / 2)


@given(standings)
def test_no_dropped_one_beats_a_kept_one(given_ones):
    kept = survivors(given_ones)
    others = [one for one in given_ones if not one.plain]
    for dropped in (one for one in others if one.name not in kept):
        for one in (one for one in others if one.name in kept):
            assert not (dropped.map >= one.map and dropped.hidden >= one.hidden
                        and (dropped.map, dropped.hidden) != (one.map, one.hidden))


@given(standings)
def test_order_has_each_once(given_ones):
    order = order_of_merit(given_ones)
    assert sorted(order, key=lambda one: one.name) == sorted(given_ones, key=lambda one: one.name)


def test_the_one_that_hides_most_is_not_dropped_for_its_map_alone():
    ones = [Standing('plain', .5, 0, plain=True), Standing('blur', .48, 1),
            Standing('downsample', .5, 1), Standing('mix', .47, 2), Standing('all', .4, 5)]
    assert survivors(ones) == {'plain', 'downsample', 'mix'}
    assert [one.name for one in order_of_merit(ones)[-1:]] == ['blur']
    assert survivors(ones[:2] + ones[4:]) == {'plain', 'blur'}


@pytest.mark.parametrize(('epochs', 'part'), [(1, 1), (2, 1), (3, 1), (4, 2), (12, 4), (100, 34)])
def test_first_part(epochs, part):
    assert first_part(epochs) == part
