"""Attack a sealed data set and report what leaks: report.json and one page to read and show.

    python tools/attack.py --sealed sealed/train --plain images --out report

Run again with the same options it goes on where it stopped.
"""
from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from mmppvit.atomic import write_atomic
from mmppvit.attacks.catalogue import ATTACKERS, find_attackers
from mmppvit.attacks.report import build_report, picture_rows, write_page
from mmppvit.attacks.runner import AttackSettings, load_recoveries, run_attacks
from mmppvit.cli import plain_errors

from rich.console import Console
from rich.table import Table


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sealed', required=True, help='folder of the sealed data set')
    parser.add_argument('--plain', required=True, help='folder of pictures it was sealed from')
    parser.add_argument('--out', required=True, type=Path, help='folder for the report')
    parser.add_argument('--attacks', default='all',
                        help=f'all, or some of {",".join(ATTACKERS)}')
    parser.add_argument('--key-file', help="the owner's key, to score recovered orders; attackers "
                        'never get it')
    parser.add_argument('--budget', type=float, default=60, help='minutes of learning, all '
                        'attackers together, in equal parts; default 60')
    parser.add_argument('--num-victims', type=int, default=24, help='pictures to attack')
    parser.add_argument('--num-pairs', type=int, default=400,
                        help='pictures for the attackers to learn from, at most')
    parser.add_argument('--scale', type=int, default=0, help='which of the sealed scales')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of an attacker')
    parser.add_argument('--memory', type=float, default=0,
                        help='GiB that the process of an attacker may have; 0 for no limit')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with plain_errors():
        found = find_attackers(args.attacks)
        settings = AttackSettings(
            args.sealed, args.plain, args.key_file, args.num_victims, args.num_pairs, args.scale,
            args.seed, 60 * args.budget, args.threads, args.memory)
        material = settings.load()
        fit = [name for name, kind in found.items() if kind.not_for(material.scheme) is None]
        settings = replace(settings, budget=settings.budget / max(len(fit), 1))
        console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        results = list(run_attacks(settings, material, found, args.out, console.print))
        recovered = {result.name: load_recoveries(args.out, result.name, len(material.victims))
                     for result in results if result.status == 'done'}
        report = build_report(settings, material, results, recovered)
        write_atomic(args.out / 'report.json', json.dumps(report, indent=1).encode())
        write_page(args.out / 'report.html', report, picture_rows(material, report, recovered))
    print_table(report)
    print('\n'.join(report['verdict']))
    print(f'The report: {args.out / "report.html"}')
    sys.exit(any(result.status in ('failed', 'out of time') for result in results))


def print_table(report: dict) -> None:
    table = Table(title=f'{report["sealed"]}: {report["scheme_text"]}')
    table.add_column('attacker')
    for column in report['columns']:
        table.add_column(column['title'], justify='right')
    for row in (report['floor'], *report['rows'], report['ceiling']):
        cells = [f'{row["metrics"][c["key"]]["mean"]:.{c["digits"]}f}'
                 if c['key'] in row['metrics'] else '-' for c in report['columns']]
        ending = '' if row['status'] == 'done' else f' ({row["status"]})'
        table.add_row(row['name'] + ending, *cells)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == '__main__':
    main()
