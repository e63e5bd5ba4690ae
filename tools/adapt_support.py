"""Run one config of each of MMDetection's architecture folders, adapted, and write the table.

python tools/adapt_support.py                  # all, about an hour on one busy core
python tools/adapt_support.py --only fcos dino # these rows of the table anew
"""
from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmppvit.adapt.support_table import read_table, run_folders, write_table

DOCS = Path(__file__).resolve().parents[1] / 'docs'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', default=os.environ.get('MMPPVIT_DATA', 'data'),
                        help='folder that has coco_mini/; default: MMPPVIT_DATA')
    parser.add_argument('--only', nargs='+', metavar='FOLDER', help='rows to run; default: all')
    parser.add_argument('--out', type=Path, default=DOCS / 'adapt-support.csv',
                        help='the table as CSV; a page of the same name is written beside it')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    rows = read_table(args.out) if args.only else {}

    def report(row) -> None:
        rows[row.folder] = row
        write_table(args.out, rows.values())
        print(f'{row.folder}: {row.state}. {row.detail}', flush=True)

    run_folders(Path(args.data) / 'coco_mini', args.only, report)


if __name__ == '__main__':
    main()
