"""``mmppvit compare-reports``."""
from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit compare-reports reports/mix reports/mix+center+shuffle
mmppvit compare-reports reports/last reports/now --json
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('before', type=PathType())
@click.argument('after', type=PathType())
@click.option('--json', 'as_json', is_flag=True, help='Print JSON.')
def command(before: Path, after: Path, as_json: bool) -> int:
    """Compare two reports of `mmppvit attack` by the best attack in each figure.

    A difference is clear where the 95 % intervals do not overlap. Exit status 1: more leaks than
    before in some figure.
    """
    from mmppvit.attacks.comparison.two_reports import compare_reports, read_report
    pair = compare_reports(read_report(before), read_report(after))
    if as_json:
        click.echo(json.dumps(asdict(pair)))
    else:
        _print(pair)
    return int(any(change.verdict == 'more leaks' for change in pair.changes))


def _print(pair) -> None:
    from rich.table import Table

    from mmppvit.cli.console import print_table
    table = Table(title='best attack in each figure')
    for title in ('figure', 'before', 'after', ''):
        table.add_column(title, justify='right' if title in ('before', 'after') else 'left')
    for change in pair.changes:
        table.add_row(change.title, f'{change.before:.3f} {change.by_before}',
                      f'{change.after:.3f} {change.by_after}', change.verdict)
    print_table(table)
    for note in pair.notes:
        click.echo(note)
