"""What attackers got, in place of the fixed ranking."""
from __future__ import annotations

import pytest

from mmppvit.plan.choices import parse_candidate
from mmppvit.plan.hiding import hidden_by_reports
from mmppvit.plan.outcome import finish
from tests.attacks.comparison.test_plane import _row, write_report
from tests.plan.test_planner import SCORES, Trainer, quick

FOUR = [parse_candidate(text) for text in ('plain', 'mix', 'blur:strength=4', 'mix+shuffle')]


@pytest.fixture
def reports(tmp_path):
    """Blur is said to hide more than mixing; SSIM counts from a floor of 0.2."""
    folder = tmp_path / 'reports'
    write_report(folder / 'mix', 'mix', _row('fr', ssim=.6, reidentified=1.))
    write_report(folder / 'blur_P16_s4', 'blur', _row('fr', ssim=.2, reidentified=.4))
    return folder


def test_one_less_the_mean_success(reports):
    """By the scheme's name, or by the label; of three measures, as patches lie in order."""
    found = hidden_by_reports(FOUR, reports)
    assert found == {FOUR[0]: 0, FOUR[1]: pytest.approx(1 - (.5 + 1 + 1) / 3),
                     FOUR[2]: pytest.approx(1 - (0 + .4 + 1) / 3)}


def test_reports_decide_where_all_have_one(reports, tmp_path):
    _, verdict = finish(quick(tmp_path / 'two', 'mix blur:strength=4', Trainer(SCORES),
                              reports=reports), .2)
    assert verdict.taken == 'blur P16 s4'
    assert 'the best attacks leave 53% of it hidden on average' in verdict.lines[0]
    _, verdict = finish(quick(tmp_path / 'three', 'mix blur:strength=4 mix+shuffle',
                              Trainer(SCORES), reports=reports), .2)
    assert verdict.taken == 'mix+shuffle P16 g2'
    assert verdict.lines[-1].endswith('has no report of some schemes: the fixed ranking was used.')


def test_a_folder_without_reports(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder of reports'):
        hidden_by_reports(FOUR, tmp_path / 'none')
    with pytest.raises(FileNotFoundError, match='has no report of a candidate'):
        hidden_by_reports(FOUR, tmp_path)
