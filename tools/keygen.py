"""Make a key for shuffling patches. Keep it secret, and keep a copy: it cannot be made again."""
from __future__ import annotations

import argparse

from mmppvit.cli.console import plain_errors
from mmppvit.encryption import Key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('key_file', help='file to write; an existing one is never overwritten')
    parser.add_argument('--show', action='store_true',
                        help='do not make a key, print the fingerprint of the one there')
    args = parser.parse_args()
    with plain_errors():
        key = Key.load(args.key_file) if args.show else Key.create(args.key_file)
    print(f'{args.key_file}: {"" if args.show else "new "}key with fingerprint {key.fingerprint}')


if __name__ == '__main__':
    main()
