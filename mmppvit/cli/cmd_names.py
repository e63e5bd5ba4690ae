"""``mmppvit names``."""
from __future__ import annotations

import json
from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, key_options
from mmppvit.utils.printable import printable

EXAMPLES = """
mmppvit names sealed/train --key-file owner.key
mmppvit names sealed/train --key-file owner.key --json
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('sealed', type=PathType(urls=True))
@click.option('--json', 'as_json', is_flag=True, help='Print one JSON object.')
@key_options
def command(sealed: Path, as_json: bool, key_source) -> None:
    """Show which plain image each sealed file was, also behind pseudonyms."""
    from mmppvit.sealed import Manifest
    from mmppvit.sealed.pseudonyms import names_of
    key = key_source.load()
    manifest = Manifest.load(sealed)
    manifest.check_key(key)
    names = names_of(manifest, key)
    if as_json:
        click.echo(json.dumps(names, indent=1))
        return
    for file, name in names.items():
        click.echo(f'{printable(file)}  {printable(name)}')
