"""Schemes named on a command line or in a file."""
from __future__ import annotations

import re

import pytest

from mmppvit.plan.choices import Candidate, parse_candidate, read_plan_file, with_plain
from mmppvit.plan.hiding import LEVELS, hidden_by_rank
from mmppvit.plan.plan_rows import Row


@pytest.mark.parametrize(('text', 'label', 'run'), [
    ('plain', 'plain P16', 'plain_P16'),
    ('plain:patch_size=8', 'plain P8', 'plain_P8'),
    ('mix', 'mix P16 g2', 'mix_P16_g2'),
    ('mix+shuffle', 'mix+shuffle P16 g2', 'mix_P16_g2'),
    ('mix+shuffle:patch_size=8,grid=4', 'mix+shuffle P8 g4', 'mix_P8_g4'),
    ('shuffle', 'shuffle P16', 'plain_P16'),
    ('mix+center+shuffle', 'mix+center+shuffle P16 g2', 'mix+center_P16_g2'),
    ('mix+center:strength=.5', 'mix+center P16 g2 s0.5', 'mix+center_P16_g2_s0.5'),
    ('mix+center:strength=0', 'mix+center P16 g2 s0', 'mix+center_P16_g2_s0'),
    ('mix+center:gain=4', 'mix+center P16 g2 gain 4', 'mix+center_P16_g2_gain_4'),
    ('mix+center:normalize=true', 'mix+center P16 g2 normalize', 'mix+center_P16_g2_normalize'),
    ('blur:strength=4', 'blur P16 s4', 'blur_P16_s4'),
    ('downsample+shuffle', 'downsample+shuffle P16 g2', 'downsample_P16_g2'),
    (dict(name='mix', grid=4), 'mix P16 g4', 'mix_P16_g4'),
])
def test_names(text, label, run):
    candidate = parse_candidate(text)
    assert candidate.label == label
    assert candidate.run == run
    row = Row(scheme=candidate.name, patch_size=candidate.patch_size, grid=candidate.grid,
              strength=candidate.strength, parameters=candidate.parameters)
    assert row.label == label


@pytest.mark.parametrize(('text', 'error'), [
    ('mixx', 'no scheme mixx: choose from plain, mix'),
    ('learned', 'scheme learned: no scheme'),
    ('mix:grid', 'write NAME:KEY=VALUE'),
    ('mix:grid=two', "'two' is neither a number, true nor false"),
    ('mix:grid=3', 'scheme mix: '),
    ('mix:center_strength=1', 'scheme mix does not center'),
    ('mix:sigma=1', "unexpected keyword argument 'sigma'"),
    ('plain:grid=2', 'plain images have no grid'),
    ('blur', 'scheme blur: '),
    ('mix+shuffle:drop=0.5', 'erode and drop are not trained here'),
    (dict(grid=2), 'names no scheme'),
])
def test_wrong_names(text, error):
    with pytest.raises(ValueError, match=re.escape(error)) as err:
        parse_candidate(text)
    assert '\n' not in str(err.value)


def test_plain_images_come_first_once_for_every_patch_size():
    given = [parse_candidate(text) for text in
             ('mix', 'mix:patch_size=8', 'plain', 'mix', 'mix+shuffle')]
    assert [c.label for c in with_plain(given)] == [
        'plain P16', 'plain P8', 'mix P16 g2', 'mix P8 g2', 'mix+shuffle P16 g2']


def test_plan_file(tmp_path):
    path = tmp_path / 'plan.yaml'
    path.write_text('schemes: [mix+shuffle, {name: mix, grid: 4}]\nmax_loss: 0.1\nseeds: 2\n')
    candidates, options = read_plan_file(path)
    assert [c.label for c in candidates] == ['mix+shuffle P16 g2', 'mix P16 g4']
    assert options == dict(max_loss=.1, seeds=2)


@pytest.mark.parametrize(('text', 'error'), [
    ('schemes: mix', 'has no list schemes'),
    ('[mix]', 'has no list schemes'),
    ('schemes: []', 'has no list schemes'),
    ('a: [', 'is no YAML'),
    ('schemes: [mix]\nepoch: 3', 'no option epoch: choose from schemes, max_loss'),
    ('schemes: [mix]\nseeds: two', "seeds must be of type int, got 'two'"),
    ('schemes: [mix]\nhalving: 1', 'halving must be of type bool'),
    ('schemes: [mix]\nmax_loss: 3', 'max_loss must lie between 0 and 1'),
    ('schemes: [mix]\nepochs: 0', 'epochs must lie between 1 and inf'),
])
def test_wrong_plan_files(tmp_path, text, error):
    (tmp_path / 'plan.yaml').write_text(text)
    with pytest.raises(ValueError, match=r'plan\.yaml') as err:
        read_plan_file(tmp_path / 'plan.yaml')
    assert error in str(err.value)
    with pytest.raises(FileNotFoundError, match='no plan file'):
        read_plan_file(tmp_path / 'none.yaml')


def test_ranking():
    """Shuffled and mixed hides most; in order, more is averaged the larger the grid."""
    order = ['plain', 'downsample', 'mix', 'mix:grid=4', 'mix+center', 'mix+shuffle',
             'mix+shuffle:grid=4', 'mix+center+shuffle', 'mix+center+shuffle:patch_size=32']
    ranks = [hidden_by_rank(parse_candidate(text)) for text in order]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)
    half = parse_candidate('mix+center+shuffle:strength=.5')
    assert hidden_by_rank(half) == hidden_by_rank(parse_candidate('mix+shuffle'))


def test_every_scheme_that_can_be_trained_has_a_rank():
    from mmppvit.encryption import BASELINES, SCHEMES
    assert set(LEVELS) == {'plain', *SCHEMES, *BASELINES}
    assert hidden_by_rank(Candidate('plain')) == 0
