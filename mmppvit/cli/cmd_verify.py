"""``mmppvit verify``."""
from __future__ import annotations

import json
from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, key_options

EXAMPLES = """
mmppvit verify sealed/train
mmppvit verify sealed/train --key-file owner.key --json
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('sealed', type=PathType())
@click.option('--json', 'as_json', is_flag=True, help='Print one JSON object.')
@key_options
def command(sealed: Path, as_json: bool, key_source) -> int:
    """Check a sealed data set.

    Digests, counts, sizes, metadata, and that no image is plain; with the key, its fingerprint and
    the signature of the manifest as well. Exit status 0: all is well; 1: problems, one a line; 2:
    it cannot be checked at all.
    """
    from mmppvit.cli.console import progress_bar
    from mmppvit.sealed import Manifest, verify_sealed
    key = key_source.load() if key_source.is_given else None
    with progress_bar('Verifying') as progress:
        problems = list(verify_sealed(sealed, key, progress))
    manifest = Manifest.load(sealed)
    if as_json:
        click.echo(json.dumps(dict(
            sealed=str(sealed), images=len(manifest.images), scheme=manifest.scheme.name,
            skipped_when_sealed=len(manifest.skipped), signed=manifest.key is not None,
            signature_checked=manifest.key is not None and key is not None,
            problems=list(map(str, problems))), indent=1))
        return int(bool(problems))
    for problem in problems:
        click.echo(problem)
    signed = '' if manifest.key is None else \
        ', signature checked' if key else ', signature not checked (no --key-file)'
    click.echo(f'{sealed}: {len(manifest.images)} images, scheme {manifest.scheme.name}, '
               f'{len(manifest.skipped)} skipped when sealed{signed}: '
               f'{f"{len(problems)} problems" if problems else "all is well"}')
    return int(bool(problems))
