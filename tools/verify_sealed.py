"""Check a sealed data set: digests, counts, sizes, key, metadata, and that nothing is plain.

Exit status 0: all is well; 1: problems, one a line; 2: it cannot be checked at all.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmppvit.cli.console import plain_errors, progress_bar
from mmppvit.encryption import Key
from mmppvit.sealed import Manifest, verify_sealed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('sealed', type=Path, help='folder with manifest.json')
    parser.add_argument('--key-file', type=Path,
                        help='check the fingerprint and the signature of the manifest as well')
    args = parser.parse_args()
    with plain_errors():
        key = args.key_file and Key.load(args.key_file)
        with progress_bar('Verifying') as progress:
            problems = list(verify_sealed(args.sealed, key, progress))
        manifest = Manifest.load(args.sealed)
    for problem in problems:
        print(problem)
    signed = '' if manifest.key is None else \
        ', signature checked' if key else ', signature not checked (no --key-file)'
    print(f'{args.sealed}: {len(manifest.images)} images, scheme {manifest.scheme.name}, '
          f'{len(manifest.skipped)} skipped when sealed{signed}: '
          f'{f"{len(problems)} problems" if problems else "all is well"}')
    sys.exit(1 if problems else 0)


if __name__ == '__main__':
    main()
