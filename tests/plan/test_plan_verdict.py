"""The scheme to take, and when there is none."""
from __future__ import annotations

import pytest

from mmppvit.plan.plan_rows import Row
from mmppvit.plan.plan_verdict import judge, losses

HIDDEN = {'plain P16': 0., 'mix P16 g2': 2., 'mix+shuffle P16 g2': 4.,
          'mix+center+shuffle P16 g2': 5., 'mix P8 g2': 2., 'plain P8': 0.}


def row(scheme: str, score: float | None, patch: int = 16, seed: int = 0, status: str = 'done',
        error: str = '') -> Row:
    centered = 1. if 'center' in scheme else 0.
    return Row(scheme=scheme, map=score, patch_size=patch, grid=1 if scheme == 'plain' else 2,
               strength=centered, seed=seed, status=status, error=error, images_seen=100)


TABLE = [row('plain', .5), row('mix', .49), row('mix+shuffle', .49),
         row('mix+center+shuffle', .45)]


@pytest.mark.parametrize(('budget', 'taken'), [
    (.01, None), (.03, 'mix+shuffle P16 g2'), (.0999, 'mix+shuffle P16 g2'),
    (.1001, 'mix+center+shuffle P16 g2')])
def test_the_most_hidden_within_the_budget(budget, taken):
    verdict = judge(TABLE, HIDDEN, budget)
    assert verdict.taken == taken
    assert verdict.lines[0].startswith(f'Take {taken} (' if taken else 'Take no scheme')
    if taken == 'mix+shuffle P16 g2':
        assert 'What hides more costs more: mix+center+shuffle' in verdict.lines[1]
        assert '10.0% less than plain' in verdict.lines[1]


def test_losses_are_relative_to_plain_images_in_the_same_patches():
    found = losses([*TABLE, row('plain', .6, 8), row('mix', .57, 8)], HIDDEN)
    assert {one.label: round(one.loss, 6) for one in found} == {
        'mix P16 g2': .02, 'mix+shuffle P16 g2': .02, 'mix+center+shuffle P16 g2': .1,
        'mix P8 g2': .05}


def test_seeds_are_averaged_and_must_all_be_done():
    rows = [row('plain', .4), row('plain', .6, seed=1), row('mix', .4), row('mix', .5, seed=1)]
    assert losses(rows, HIDDEN)[0].loss == pytest.approx(.1)
    rows[-1] = row('mix', None, seed=1, status='failed', error='no memory')
    assert losses(rows, HIDDEN) == []
    assert 'mix P16 g2, seed 1, failed: no memory' in judge(rows, HIDDEN, .5).lines


def test_chance_is_said_where_it_decides():
    rows = [row('plain', .5), row('mix+shuffle', .4851)]
    assert 'Chance may decide mix+shuffle P16 g2' in ' '.join(judge(rows, HIDDEN, .03).lines)
    assert 'Chance' not in ' '.join(judge(rows, HIDDEN, .3).lines)
    many = [row(scheme, score, seed=seed) for scheme, score in
            (('plain', .5), ('mix+shuffle', .4851)) for seed in range(3)]
    assert 'Chance' not in ' '.join(judge(many, HIDDEN, .0302).lines)


@pytest.mark.parametrize(('rows', 'said'), [
    ([], 'no training on plain images was done'),
    ([row('plain', None, status='failed', error='x'), row('mix', .5)],
     'no training on plain images was done'),
    ([row('plain', .001), row('mix', .001)], 'after 100 images; a longer training is needed'),
])
def test_no_verdict(rows, said):
    verdict = judge(rows, HIDDEN, .03)
    assert verdict.taken is None
    assert said in verdict.lines[0]


P8 = [row('mix', .57, 8), row('plain', .6, 8)]


@pytest.mark.parametrize(('control', 'said'), [
    (row('plain', .001), 'the mAP is 0.001 after 100 images; a longer training is needed'),
    (row('plain', None, status='failed', error='no memory'), 'no training on plain images was '),
    (row('plain', None, status='waiting'), 'no training on plain images was done')])
def test_what_has_no_control_is_left_out(control, said):
    """And the others are judged as without it."""
    verdict = judge([control, *TABLE[1:], *P8], HIDDEN, .06)
    assert verdict.taken == judge(P8, HIDDEN, .06).taken == 'mix P8 g2'
    assert 'of 1 of 1 schemes' in verdict.lines[0]
    note, = (line for line in verdict.lines if line.startswith('Not judged'))
    assert note.startswith('Not judged: mix P16 g2, mix+shuffle P16 g2, mix+center+shuffle P16 g2.'
                           ' In patches of 16 pixels, ')
    assert said in note


@pytest.mark.parametrize(('seed', 'said'), [
    (row('plain', .001, seed=1), 'plain P16, seed 1, is left out: an mAP of 0.001'),
    (row('plain', None, seed=1, status='failed', error='no memory'),
     'plain P16, seed 1, failed: no memory')])
def test_a_seed_that_is_no_control_is_left_out(seed, said):
    rows = [row(one.scheme, one.map, seed=k) for one in TABLE for k in (0, 1)
            if (one.scheme, k) != ('plain', 1)]
    verdict = judge([*rows, seed], HIDDEN, .03)
    assert verdict.taken == judge(TABLE, HIDDEN, .03).taken
    assert said in ' '.join(verdict.lines)


def test_no_scheme_with_a_control_is_no_verdict():
    verdict = judge([row('plain', .5), row('plain', .001, 8), row('mix', .001, 8)], HIDDEN, .03)
    assert verdict.taken is None
    assert verdict.lines[0].startswith('No verdict: no scheme with a plain training')
    assert verdict.lines[1].startswith('Not judged: mix P8 g2. In patches of 8 pixels, on plain')


def test_what_was_dropped_is_said():
    lines = judge([*TABLE, row('blur', .3, status='dropped')], {**HIDDEN, 'blur P16 g2': 1}, .03)
    assert 'Dropped after a third of the budget: blur P16 g2.' in lines.lines
