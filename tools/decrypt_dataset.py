"""Bring the plain images of a sealed data set back, where its scheme lost nothing (shuffle)."""
from __future__ import annotations

import argparse
from pathlib import Path

from mmppvit.cli.console import plain_errors, progress_bar
from mmppvit.encryption import Key
from mmppvit.sealed import Manifest, check_restorable, restore_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('sealed', type=Path, help='folder with manifest.json')
    parser.add_argument('--out', type=Path, required=True, help='folder to write')
    parser.add_argument('--key-file', type=Path, help='the key it was sealed with')
    args = parser.parse_args()
    with plain_errors():
        manifest = Manifest.load(args.sealed)
        check_restorable(manifest.scheme)
        if args.key_file is None:
            raise ValueError(f'{args.sealed} is shuffled: give the --key-file it was sealed with')
        key = Key.load(args.key_file)
        with progress_bar('Restoring') as progress:
            with_json = restore_dataset(manifest, key, args.out, progress)
    print(f'{args.out}: {len(manifest.images)} images restored, '
          f'{"with" if with_json else "without"} annotations.json')
    if manifest.annotations is not None and not with_json:
        print('  They have the scale they were sealed at, which the boxes of the json do not fit.')


if __name__ == '__main__':
    main()
