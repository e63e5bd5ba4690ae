"""``mmppvit.attacks.comparison.two_reports``."""
from __future__ import annotations

import copy
import json

import pytest

from mmppvit.attacks.comparison.two_reports import compare_reports, read_report


def _row(name: str, status: str = 'done', **means: float) -> dict:
    return dict(name=name, status=status, metrics={
        key: dict(mean=mean, low=mean - .05, high=mean + .05) for key, mean in means.items()})


REPORT = dict(schema=1, victims=['a', 'b'], scheme_text='mix', how=dict(time='10 s'),
              columns=[dict(key='faces', title='faces found'), dict(key='ssim', title='SSIM')],
              rows=[_row('itn', faces=.5, ssim=.6), _row('fr', ssim=.7), _row('bad', 'failed')],
              as_it_is=_row('sealed, as it is', faces=.1, ssim=.3))


def _changed(**entries) -> dict:
    return {**copy.deepcopy(REPORT), **entries}


def test_the_best_attack_of_each():
    after = _changed(rows=[_row('itn', faces=.2, ssim=.72)], scheme_text='mix+shuffle')
    pair = compare_reports(REPORT, after)
    assert [(c.key, c.before, c.after, c.by_before, c.by_after, c.verdict)
            for c in pair.changes] == [
        ('faces', .5, .2, 'itn', 'itn', 'less leaks'),
        ('ssim', .7, .72, 'fr', 'itn', 'no clear difference')]
    assert pair.notes == ['Scheme: mix, then mix+shuffle.',
                          'Attackers that came to an end only before: fr.']


def test_more_leaks_and_doing_nothing_may_be_best():
    after = _changed(as_it_is=_row('sealed, as it is', faces=.9, ssim=.1))
    change = compare_reports(REPORT, after).changes[0]
    assert (change.verdict, change.by_after) == ('more leaks', 'sealed, as it is')


def test_other_images_and_other_columns_are_told():
    pair = compare_reports(REPORT, _changed(victims=['a'], columns=REPORT['columns'][1:],
                                            how=dict(time='5 s')))
    assert [change.key for change in pair.changes] == ['ssim']
    assert 'different images' in pair.notes[0]
    assert pair.notes[1] == 'Time: 10 s, then 5 s.'


@pytest.mark.parametrize(('text', 'said'), [
    ('[]', 'is no report'), ('{', 'is no report'), ('{"rows": []}', 'is no report'),
    (json.dumps(_changed(schema=2)), 'has version 2, .* update mmppvit')])
def test_what_is_no_report(tmp_path, text, said):
    (tmp_path / 'report.json').write_text(text)
    with pytest.raises(ValueError, match=said):
        read_report(tmp_path)


def test_none(tmp_path):
    with pytest.raises(FileNotFoundError, match='`mmppvit attack` writes it'):
        read_report(tmp_path)


def test_exit_status(run_python, tmp_path):
    for name, report in (('a', REPORT), ('b', _changed(rows=[_row('itn', faces=.9, ssim=.6)]))):
        (tmp_path / f'{name}.json').write_text(json.dumps(report))
    command = ('-m', 'mmppvit', 'compare-reports')
    worse = run_python(*command, tmp_path / 'a.json', tmp_path / 'b.json')
    assert worse.returncode == 1
    assert 'more leaks' in worse.stdout
    better = run_python(*command, tmp_path / 'b.json', tmp_path / 'a.json', '--json')
    assert better.returncode == 0
    assert json.loads(better.stdout)['changes'][0]['verdict'] == 'less leaks'
