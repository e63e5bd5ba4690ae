"""``mmppvit pack``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, key_options

EXAMPLES = """
mmppvit pack sealed/train --out packed/train --key-file owner.key
mmppvit verify packed/train --key-file owner.key
mmppvit pack sealed/train --out s3://bucket/train --key-file owner.key
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('sealed', type=PathType(urls=True))
@click.option('--out', type=PathType(urls=True), required=True, help='Folder to write, or a URL.')
@click.option('--shard-size', type=click.IntRange(1), default=256, metavar='MIB',
              help='A shard ends with the image that makes it larger; default 256.')
@key_options
def command(sealed: Path, out: Path, shard_size: int, key_source) -> None:
    """Put a sealed data set into a few tar shards, which WebDataset reads as well.

    Images are the same bytes. A set that is signed needs the key, to be signed again; every file
    is checked on the way. After an interruption the same command starts over. Stores that fsspec
    knows (s3, gs, az, ...) are written to and read from by URL.
    """
    from mmppvit.cli.console import progress_bar
    from mmppvit.sealed import Manifest, pack_dataset
    manifest = Manifest.load(sealed, in_pieces=True)
    key = key_source.load() if manifest.key is not None or key_source.is_given else None
    with progress_bar('Packing') as progress:
        packed = pack_dataset(manifest, key, out, shard_size * 2**20, progress)
    click.echo(f'{out}: {len(packed.images)} images in {len(packed.packed["shards"])} shards')
