"""Two reports of ``mmppvit attack`` beside each other: what leaks more, what leaks less."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmppvit.attacks.report.build import SCHEMA_VERSION

__all__ = ['Change', 'ReportPair', 'compare_reports', 'read_report']


@dataclass(frozen=True)
class Change:
    """The best attack in one figure, before and after.

    Args:
        key, title (str): Of the column.
        before, after (float): Means of the best attack, or of the sealed images as they are.
        by_before, by_after (str): Which attack that is.
        verdict (str): 'more leaks', 'less leaks', or 'no clear difference', where the 95 %
            intervals overlap.
    """
    key: str
    title: str
    before: float
    after: float
    by_before: str
    by_after: str
    verdict: str


@dataclass(frozen=True)
class ReportPair:
    """``changes`` by figure, and ``notes`` on what makes the reports hard to compare."""
    changes: list[Change]
    notes: list[str]


def read_report(path: Path) -> dict:
    """``report.json``, or the folder that has it.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no report, or one of a later version.
    """
    path = path / 'report.json' if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f'no report {path}: `mmppvit attack` writes it')
    try:
        data = json.loads(path.read_text())
        version = data.get('schema', 0)
        data['rows'], data['as_it_is'], data['columns'], data['victims']
    except (ValueError, KeyError, AttributeError, TypeError) as err:
        raise ValueError(f'{path} is no report of `mmppvit attack` ({type(err).__name__}: {err})'
                         ) from None
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ValueError(f'{path} has version {version}, and this program reads up to '
                         f'{SCHEMA_VERSION}: update mmppvit')
    return data


def compare_reports(before: Mapping, after: Mapping) -> ReportPair:
    """Compare the best attack of each figure that both reports have.

    Args:
        before, after (Mapping): From :func:`read_report`.
    """
    changes = []
    keys = {column['key'] for column in before['columns']}
    for column in after['columns']:
        rows = [_best(report, column['key']) for report in (before, after)]
        if column['key'] in keys and None not in rows:
            changes.append(_change(column, *rows))
    return ReportPair(changes, _notes(before, after))


def _best(report: Mapping, key: str) -> Mapping | None:
    done = [row for row in report['rows'] if row['status'] == 'done']
    rows = [row for row in [*done, report['as_it_is']] if key in row['metrics']]
    return max(rows, key=lambda row: row['metrics'][key]['mean'], default=None)


def _change(column: Mapping, before: Mapping, after: Mapping) -> Change:
    old, new = (row['metrics'][column['key']] for row in (before, after))
    verdict = 'no clear difference'
    if new['low'] > old['high']:
        verdict = 'more leaks'
    elif new['high'] < old['low']:
        verdict = 'less leaks'
    return Change(column['key'], column['title'], old['mean'], new['mean'], before['name'],
                  after['name'], verdict)


def _notes(before: Mapping, after: Mapping) -> list[str]:
    notes = []
    if before['victims'] != after['victims']:
        notes.append('The reports are on different images, so figures differ for that alone.')
    texts = before.get('scheme_text'), after.get('scheme_text')
    if texts[0] != texts[1]:
        notes.append(f'Scheme: {texts[0]}, then {texts[1]}.')
    times = [report.get('how', {}).get('time', 'unknown') for report in (before, after)]
    if times[0] != times[1]:
        notes.append(f'Time: {times[0]}, then {times[1]}.')
    names = [{row['name'] for row in report['rows'] if row['status'] == 'done'}
             for report in (before, after)]
    for when, only in (('before', names[0] - names[1]), ('after', names[1] - names[0])):
        if only:
            notes.append(f'Attackers that came to an end only {when}: {", ".join(sorted(only))}.')
    return notes
