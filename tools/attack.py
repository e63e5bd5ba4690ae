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

from mmppvit.attacks.attack_data import AttackData
from mmppvit.attacks.attackers.catalogue import ATTACKERS, find_attackers
from mmppvit.attacks.judges.detector_ap import VictimDetector
from mmppvit.attacks.judges.plain_boxes import read_plain_boxes
from mmppvit.attacks.judges.plain_detector import describe_detector, load_detector
from mmppvit.attacks.report import build_report, image_rows, write_page
from mmppvit.attacks.runner import AttackSettings, load_recoveries, run_attacks
from mmppvit.cli.console import plain_errors
from mmppvit.utils.atomic import write_atomic

import torch
from rich.console import Console
from rich.table import Table


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sealed', required=True, help='folder of the sealed data set')
    parser.add_argument('--plain', required=True, help='folder of images it was sealed from')
    parser.add_argument('--out', required=True, type=Path, help='folder for the report')
    parser.add_argument('--attacks', default='all',
                        help=f'all, or some of {",".join(ATTACKERS)}')
    parser.add_argument('--key-file', help="the owner's key, to score recovered orders; attackers "
                        'never get it')
    parser.add_argument('--protector', help='of scheme learned: the network, which attackers have, '
                        'too')
    parser.add_argument('--budget', type=float, default=60, help='minutes of learning, all '
                        'attackers together, in equal parts; default 60')
    parser.add_argument('--num-victims', type=int, default=24, help='images to attack')
    parser.add_argument('--num-pairs', type=int, default=400,
                        help='images for the attackers to learn from, at most')
    parser.add_argument('--scale', type=int, default=0, help='which of the sealed scales')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of an attacker')
    parser.add_argument('--memory', type=float, default=0,
                        help='GiB that the process of an attacker may have; 0 for no limit')
    detector = parser.add_argument_group(
        'average precision of a detector on what was recovered, all three or none')
    detector.add_argument('--detector', metavar='CONFIG', type=Path,
                          help='config of a detector that was trained on plain images')
    detector.add_argument('--checkpoint', type=Path, help='its weights')
    detector.add_argument('--ann', type=Path, nargs='+', metavar='COCO_JSON',
                          help='boxes of the plain images, in one file or several')
    return parser.parse_args()


def load_judge(args: argparse.Namespace, settings: AttackSettings, material: AttackData
               ) -> tuple[VictimDetector | None, dict[str, str] | None]:
    """The detector that --detector asks for, and its files by kind; None and None without.

    Raises what :class:`VictimDetector` and :func:`load_detector` do, and ValueError for a part of
    the three options.
    """
    files = {'--detector': args.detector, '--checkpoint': args.checkpoint, '--ann': args.ann}
    missing = [option for option, path in files.items() if path is None]
    if len(missing) == len(files):
        return None, None
    if missing:
        raise ValueError(f'{" and ".join(missing)} missing: --detector, --checkpoint and --ann '
                         'belong together')
    torch.set_num_threads(settings.threads)
    detector = load_detector(args.detector, args.checkpoint)
    judge = VictimDetector(detector, read_plain_boxes(*args.ann), settings.sealed, settings.scale,
                           material.victims, settings.seed)
    return judge, describe_detector(args.detector, args.checkpoint, args.ann)


def main() -> None:
    args = parse_args()
    with plain_errors():
        found = find_attackers(args.attacks)
        settings = AttackSettings(
            args.sealed, args.plain, args.key_file, args.num_victims, args.num_pairs, args.scale,
            args.seed, 60 * args.budget, args.threads, args.memory, args.protector)
        material = settings.load()
        judge, files = load_judge(args, settings, material)
        fit = [name for name, kind in found.items() if kind.not_for(material.scheme) is None]
        settings = replace(settings, budget=settings.budget / max(len(fit), 1))
        console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        results = list(run_attacks(settings, material, found, args.out, console.print))
        recovered = {result.name: load_recoveries(args.out, result.name, len(material.victims))
                     for result in results if result.status == 'done'}
        report = build_report(settings, material, results, recovered, judge, files)
        write_atomic(args.out / 'report.json', json.dumps(report, indent=1).encode())
        write_page(args.out / 'report.html', report, image_rows(material, report, recovered))
    print_table(report)
    print('\n'.join(report['verdict']))
    print(f'The report: {args.out / "report.html"}')
    sys.exit(any(result.status in ('failed', 'out of time') for result in results))


def print_table(report: dict) -> None:
    below = any(row['below_as_it_is'] for row in report['rows'])
    table = Table(title=f'{report["sealed"]}: {report["scheme_text"]}',
                  caption='< less than the sealed image as it is' if below else None)
    table.add_column('attacker')
    for column in report['columns']:
        table.add_column(column['title'], justify='right')
    for row in (report['floor'], report['as_it_is'], *report['rows'], report['ceiling']):
        cells = [f'{"<" * (c["key"] in row["below_as_it_is"])}'
                 f'{row["metrics"][c["key"]]["mean"]:.{c["digits"]}f}'
                 if c['key'] in row['metrics'] else '-' for c in report['columns']]
        ending = '' if row['status'] == 'done' else f' ({row["status"]})'
        table.add_row(row['name'] + ending, *cells)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == '__main__':
    main()
