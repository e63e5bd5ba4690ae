"""``mmppvit compare``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit compare mix=reports/mix:0.545 blur=reports/blur:work_dirs/blur --out plane
mmppvit compare --csv schemes.csv --out plane
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('points', nargs=-1, metavar='[NAME=REPORT:MAP]...')
@click.option('--csv', type=PathType(), help='Table with the columns name, report, map; paths are '
              'relative to its folder.')
@click.option('--out', required=True, type=PathType(), help='Folder for plane.csv and plane.png.')
@click.option('--tolerance', type=click.FloatRange(0, 1, max_open=True), default=.01,
              help='Differences up to this are none; default 0.01.')
def command(points: tuple[str, ...], csv: Path | None, out: Path, tolerance: float) -> None:
    """Compare schemes: the detector's mAP against the success of the best attack.

    REPORT is what `mmppvit attack` wrote; MAP a number, a log or scalars.json of a training, or the
    folder of one. Writes plane.csv and plane.png.
    """
    from mmppvit.attacks.comparison.plane import sentences, write_csv
    from mmppvit.attacks.comparison.plot import write_plot
    from mmppvit.attacks.comparison.reading import read_points
    found = read_points(list(points), csv)
    write_csv(out / 'plane.csv', found)
    write_plot(out / 'plane.png', found)
    print_points(found)
    click.echo('\n'.join(sentences(found, tolerance)))
    click.echo(f'The plane: {out / "plane.png"}, {out / "plane.csv"}')


def print_points(points: list) -> None:
    """The figures as a table."""
    from rich.markup import escape
    from rich.table import Table

    from mmppvit.attacks.comparison.plane import MEASURES, front, measures
    from mmppvit.cli.console import print_table
    table = Table(title='best attack on each scheme; * on the Pareto front')
    shown = measures(points)
    for title in ('scheme', 'mAP', *(MEASURES[key] for key in shown)):
        table.add_column(title, justify='left' if title == 'scheme' else 'right')
    fronts = {key: front(points, key) for key in shown}
    for point in sorted(points, key=lambda point: -point.map):
        cells = []
        for key in shown:
            reached = point.success.get(key)
            cells.append('not scored' if reached is None else
                         f'{reached.value:.3f} {reached.attacker}' + ' *' * (point in fronts[key]))
        table.add_row(escape(point.name) + ' (baseline)' * point.baseline, f'{point.map:.3f}',
                      *cells)
    print_table(table)
