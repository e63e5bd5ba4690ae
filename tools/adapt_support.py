"""Run one config of each of MMDetection's architecture folders, adapted, and write the table.

python tools/adapt_support.py                  # all, about 20 minutes on one idle core
python tools/adapt_support.py --only fcos dino # these rows of the table anew

A run that was interrupted goes on where it ended; the table is replaced when all rows are there.
"""
from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from mmppvit.adapt.support_table import folders, read_table, run_folders, write_table

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', default=os.environ.get('MMPPVIT_DATA', 'data'),
                        help='folder that has coco_mini/; default: MMPPVIT_DATA')
    parser.add_argument('--only', nargs='+', metavar='FOLDER', help='rows to run; default: all')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs/adapt-support.csv',
                        help='the table as CSV; a page of the same name is written beside it')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # All rows are collected elsewhere, so that an unfinished run leaves the table as it was.
    target = args.out if args.only else ROOT / 'build/adapt-support' / args.out.name
    target.parent.mkdir(parents=True, exist_ok=True)
    rows = read_table(target)
    names = args.only or [name for name in folders() if name not in rows]
    if rows and not args.only:
        print(f'{target} has {len(rows)} rows of an earlier run: {len(names)} are left')

    def report(row) -> None:
        rows[row.folder] = row
        write_table(target, rows.values())
        print(f'{row.folder}: {row.state}. {row.detail}', flush=True)

    run_folders(Path(args.data) / 'coco_mini', names, report)
    if not args.only:
        write_table(args.out, rows.values())
        shutil.rmtree(target.parent)


if __name__ == '__main__':
    main()
