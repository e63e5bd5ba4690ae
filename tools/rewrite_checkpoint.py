"""Make a checkpoint that stock MMEngine wrote loadable under torch >= 2.6, without pickle.

    python tools/rewrite_checkpoint.py work_dirs/mine/epoch_12.pth epoch_12_plain.pth

`load_from` and `--resume` take the result. Checkpoints written with mmppvit imported need no such
thing.
"""
from __future__ import annotations

import argparse
import os

from mmppvit.compat.stock_checkpoint import rewrite_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', help='checkpoint of stock MMEngine')
    parser.add_argument('target', help='file to write; must not exist')
    args = parser.parse_args()
    if not os.path.isfile(args.source):
        parser.error(f'no checkpoint {args.source}')
    if os.path.exists(args.target):
        parser.error(f'{args.target} exists; choose another name')
    rewrite_checkpoint(args.source, args.target)
    print(f'{args.target}: for load_from and --resume')


if __name__ == '__main__':
    main()
