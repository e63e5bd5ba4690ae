"""``mmppvit rekey``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, key_options

EXAMPLES = """
mmppvit keygen new.key
mmppvit rekey sealed/train --out rekeyed/train --key-file owner.key --new-key-file new.key
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('sealed', type=PathType(urls=True))
@click.option('--out', type=PathType(), required=True, help='Folder to write.')
@click.option('--new-key-file', type=PathType(), required=True, help='The key to seal with.')
@key_options
def command(sealed: Path, out: Path, new_key_file: Path, key_source) -> None:
    """Put a sealed data set under another key; the plain images are not needed.

    The new set has the next counter. It cannot be resumed.
    """
    from mmppvit.cli.console import progress_bar
    from mmppvit.encryption.key_sources import KeySource
    from mmppvit.sealed import Manifest
    from mmppvit.sealed.rekey import rekey_dataset
    old = key_source.load()
    new = KeySource(new_key_file, None, None, None).load()
    with progress_bar('Rekeying') as progress:
        moved = rekey_dataset(Manifest.load(sealed), old, new, out, progress)
    click.echo(f'{out}: {len(moved.images)} images under the key of fingerprint {new.fingerprint}, '
               f'counter {moved.counter}')
