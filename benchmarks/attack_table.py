"""What attackers get of every set of images, by every scheme: a table for all judges.

    python benchmarks/attack_table.py run faces plates --out attack_table.csv --work-dir WORK
    python benchmarks/attack_table.py show docs/attack_table.csv

``run`` seals each set by each scheme and attacks it with ``mmppvit attack``. What ``WORK`` has
already is not done again, so an interrupted run goes on, and rows of other sets stay in the CSV.
``show`` prints the best attack of each figure as Markdown. Images are looked for in the folder that
MMPPVIT_DATA names.
"""
from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from mmppvit.attacks.attackers.catalogue import find_attackers
from mmppvit.encryption import Scheme

SETS = {  # folder of the images, scale, judges, COCO json files for text and ap
    'faces': ('facemask/images', '320x320', 'faces,identity,perceptual', ()),
    'plates': ('plates_ro/images', '448x252', 'text,perceptual', (
        'plates_ro/annotations/instances_train.json', 'plates_ro/annotations/instances_test.json')),
    'boards': ('deeppcb/images', '320x320', 'perceptual', (
        'deeppcb/annotations/instances_train.json', 'deeppcb/annotations/instances_test.json')),
    'photographs': ('coco_mini', '448x448', 'faces,perceptual', ()),
    'cells': ('bccd/images', '512x384', 'perceptual', tuple(
        f'bccd/annotations/instances_{part}.json' for part in ('train', 'val', 'test')))}
ATTACKS = {  # the ones that got furthest in earlier tables
    'shuffle': 'jigsaw-mgc,jigsaw-learned,known-scene',
    'mix': 'fr,itn',
    'mix+center': 'fr,itn',
    'mix+shuffle': 'jigsaw-mgc,jigsaw-learned,itn,known-scene',
    'mix+center+shuffle': 'jigsaw-learned,jigsaw-transformer,itn,known-scene'}
FIGURES = {
    'faces': 'faces found', 'identity': 'faces recognized', 'text': 'characters read',
    'ap': 'AP of a plain detector', 'perceptual': 'perceptual', 'ssim': 'SSIM',
    'reidentified': 're-identified', 'neighbors': 'neighbors', 'placed': 'in place'}
BOUNDS = ('floor', 'ceiling', 'sealed, as it is')


def run(name: str, scheme: str, args: argparse.Namespace) -> list[dict[str, str]]:
    """Seal, attack and read the report: a row for each attacker and for each bound."""
    folder, scale, judges, boxes = SETS[name]
    data, work = Path(os.environ.get('MMPPVIT_DATA', 'data')), args.work_dir / name / scheme
    key = args.work_dir / 'owner.key'
    if not key.exists():
        _mmppvit('keygen', key)
    secret = ('--key-file', key) if 'shuffle' in scheme else ()
    if not (work / 'sealed' / 'manifest.json').exists():
        resume = ('--resume', ) if (work / 'sealed').exists() else ()
        _mmppvit('seal', '--img-dir', data / folder, '--out', work / 'sealed', '--scheme', scheme,
                 '--scale', scale, *secret, *resume)
    attacks = args.attacks or ATTACKS[scheme]
    detector = args.work_dir / 'detectors' / name
    given = ()
    if detector.is_dir() or 'text' in judges:
        given = ('--ann', *(data / file for file in boxes))
    if detector.is_dir():
        given += ('--detector', next(detector.glob('*.py')),
                  '--checkpoint', max(detector.glob('epoch_*.pth'), key=os.path.getmtime))
    fit = [kind for kind in find_attackers(attacks).values()
           if kind.not_for(Scheme(scheme)) is None]
    out = work / f'report{args.name}'
    (out / 'report.json').unlink(missing_ok=True)
    _mmppvit('attack', '--sealed', work / 'sealed', '--plain', data / folder, '--out', out,
             '--num-victims', args.num_victims, '--num-pairs', args.num_pairs, '--attacks', attacks,
             '--budget', args.minutes * len(fit), '--longest', args.longest, '--judges', judges,
             *given, *secret, fine=(0, 1))  # 1: an attacker failed, which the report says
    report = json.loads((out / 'report.json').read_text())
    rows = [*(report[bound] for bound in ('floor', 'ceiling', 'as_it_is')), *report['rows']]
    return [_line(name + args.name, scheme, scale, report, row) for row in rows]


def _mmppvit(*args: object, fine: tuple[int, ...] = (0, )) -> None:
    done = subprocess.run([sys.executable, '-m', 'mmppvit', *map(str, args)], check=False)
    if done.returncode not in fine:
        raise SystemExit(f'mmppvit {args[0]} ended with {done.returncode}')


def _line(name: str, scheme: str, scale: str, report: dict, row: dict) -> dict[str, str]:
    curve = row.get('curve') or []
    line = dict(images=name, scale=scale, scheme=scheme, attacker=row['name'],
                status=row['status'], victims=str(report['num_victims']),
                pairs=str(report['num_pairs']), seconds=f'{row["seconds"]:.0f}',
                curve=' '.join(f'{time:.0f}:{error:.3f}' for time, error in curve),
                settled={True: 'yes', False: 'no'}.get(row.get('settled'), ''))
    for figure in FIGURES:
        value = row['metrics'].get(figure, {}) if row['status'] == 'done' else {}
        line |= {figure + end: '' if part not in value else f'{value[part]:.4f}'
                 for end, part in (('', 'mean'), (' low', 'low'), (' high', 'high'))}
        line[figure + ' of'] = str(value.get('of', ''))  # faces, or characters
    return line


def show(rows: list[dict[str, str]]) -> None:
    """Markdown: for each set and scheme the best attack of every figure; then how it was learned.

    In round brackets the 95 % interval over images, in square ones the floor: a mean image.
    Most attackers have no other photograph of the view, so ``known-scene`` has a line of its own.
    """
    for name in dict.fromkeys(row['images'] for row in rows):
        own = [row for row in rows if row['images'] == name]
        schemes = dict.fromkeys(row['scheme'] for row in own)
        figures = [figure for figure in FIGURES if any(
            row[figure] for row in own if row['attacker'] not in BOUNDS)]
        lines = [('sealed by', *(FIGURES[figure] for figure in figures))]
        for scheme in schemes:
            part = [row for row in own if row['scheme'] == scheme]
            scene = [row for row in part if row['attacker'] == 'known-scene']
            rest = [row for row in part if row not in scene and row['attacker'] not in BOUNDS[:2]]
            bounds = part[:2]
            lines.append((f'`{scheme}`', *(_best(rest, figure, *bounds) for figure in figures)))
            if scene:
                lines.append(('with another photograph',
                              *(_best(scene, figure, *bounds) for figure in figures)))
        print(f'\n**{name}**, {own[0]["scale"]}, {own[0]["victims"]} victims\n')
        _print_table(lines)
        print()
        told = [(f'`{row["scheme"]}`', row['attacker'], row['seconds'],
                 row['curve'].replace(' ', ', ').replace(':', ': '),
                 {'yes': 'settled', 'no': 'still learning'}.get(row['settled'], ''))
                for row in own if row['curve']]
        _print_table([('sealed by', 'attacker', 'seconds in all', 'seconds of learning: error', ''),
                      *told])


def _print_table(lines: list[tuple[str, ...]]) -> None:
    for place, line in enumerate(lines):
        print('|', ' | '.join(line), '|')
        if not place:
            print('|' + '---|' * len(line))


def _best(rows: list[dict[str, str]], figure: str, floor: dict[str, str],
          ceiling: dict[str, str]) -> str:
    tried = [row for row in rows if row[figure]]
    if not tried:
        return ''
    best = max(tried, key=lambda row: float(row[figure]))
    value, low, high = (float(best[figure + end] or 'nan') for end in ('', ' low', ' high'))
    text = f'{value:.2f} ({low:.2f} to {high:.2f})'
    if best[figure + ' of']:
        count = int(best[figure + ' of'])
        text = f'{value * count:.0f} of {count} ({100 * low:.0f} to {100 * high:.0f} %)'
    if figure == 'reidentified':
        text = f'{value * int(best["victims"]):.0f} of {best["victims"]}'
    if figure == 'ap':
        text += f' of {float(ceiling[figure]):.2f}'
    if figure in ('ssim', 'perceptual'):
        text += f' [{float(floor[figure]):.2f}]'
    if value < .005 or len(rows) == 1:
        return text
    return f'{text}, {best["attacker"].removeprefix("sealed, ")}'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest='step', required=True)
    table = steps.add_parser('show')
    table.add_argument('csv', type=Path)
    attack = steps.add_parser('run')
    attack.add_argument('sets', nargs='+', choices=SETS)
    attack.add_argument('--schemes', nargs='+', choices=ATTACKS, default=list(ATTACKS))
    attack.add_argument('--attacks', default='', help='in place of those chosen for the scheme')
    attack.add_argument('--minutes', type=float, default=1., help='of learning for each attacker')
    attack.add_argument('--longest', type=float, default=2., help='as of mmppvit attack')
    attack.add_argument('--num-victims', type=int, default=16)
    attack.add_argument('--num-pairs', type=int, default=400)
    attack.add_argument('--name', default='', help='of this run, added to that of the set')
    attack.add_argument('--work-dir', type=Path, required=True)
    attack.add_argument('--out', type=Path, required=True, help='CSV file to write')
    args = parser.parse_args()
    if args.step == 'show':
        with args.csv.open(newline='') as file:
            show(list(csv.DictReader(file)))
        return
    args.work_dir.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        for scheme in args.schemes:
            add(args.out, run(name, scheme, args))


def add(path: Path, new: list[dict[str, str]]) -> None:
    """Write the rows in place of those of the same images, scheme and attacker."""
    rows = {}
    if path.is_file():
        with path.open(newline='') as file:
            rows = {tuple(row[key] for key in ('images', 'scheme', 'attacker')): row
                    for row in csv.DictReader(file)}
    rows |= {(row['images'], row['scheme'], row['attacker']): row for row in new}
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, list(new[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows.values())


if __name__ == '__main__':
    main()
