"""Compare schemes: the mAP of a detector against the success of the best attack.

    python tools/compare_schemes.py mix=reports/mix:0.545 blur=reports/blur:runs/blur --out plane

Each is NAME=REPORT:MAP. REPORT is what tools/attack.py wrote; MAP a number, a log or scalars.json
of a training, or the folder of one. Or give --csv with the columns name, report, map. Writes
plane.csv and plane.png.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmppvit.attacks.comparison.plane import (
    MEASURES,
    Point,
    front,
    measures,
    sentences,
    write_csv,
)
from mmppvit.attacks.comparison.plot import write_plot
from mmppvit.attacks.comparison.reading import read_points
from mmppvit.cli.console import plain_errors

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('points', nargs='*', metavar='NAME=REPORT:MAP')
    parser.add_argument('--csv', type=Path, help='table with the columns name, report, map; paths '
                        'are relative to its folder')
    parser.add_argument('--out', required=True, type=Path, help='folder for plane.csv, plane.png')
    parser.add_argument('--tolerance', type=float, default=.01,
                        help='differences up to this are none; default 0.01')
    args = parser.parse_args()
    if not 0 <= args.tolerance < 1:
        parser.error(f'--tolerance must be at least 0 and below 1, got {args.tolerance}')
    return args


def main() -> None:
    args = parse_args()
    with plain_errors():
        points = read_points(args.points, args.csv)
        write_csv(args.out / 'plane.csv', points)
        write_plot(args.out / 'plane.png', points)
    print_table(points)
    print('\n'.join(sentences(points, args.tolerance)))
    print(f'The plane: {args.out / "plane.png"}, {args.out / "plane.csv"}')


def print_table(points: list[Point]) -> None:
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
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == '__main__':
    main()
