"""``mmppvit restore``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, key_options

EXAMPLES = """
mmppvit restore sealed/train --out restored --key-file owner.key
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('sealed', type=PathType(urls=True))
@click.option('--out', type=PathType(), required=True, help='Folder to write.')
@key_options
def command(sealed: Path, out: Path, key_source) -> None:
    """Bring plain images back, where the scheme lost nothing (shuffle)."""
    from mmppvit.cli.console import progress_bar
    from mmppvit.sealed import Manifest, check_restorable, restore_dataset
    manifest = Manifest.load(sealed)
    check_restorable(manifest.scheme)
    source = key_source.find()
    if source is None:
        raise click.UsageError(f'{sealed} is shuffled: give the --key-file it was sealed with')
    key = source.load()
    with progress_bar('Restoring') as progress:
        with_json = restore_dataset(manifest, key, out, progress)
    click.echo(f'{out}: {len(manifest.images)} images restored, '
               f'{"with" if with_json else "without"} annotations.json')
    if manifest.annotations is not None and not with_json:
        click.echo('  They have the scale they were sealed at, which the boxes of the json do not '
                   'fit.')
