"""``mmppvit rewrite-checkpoint``."""
from __future__ import annotations

import os

import click

from mmppvit.cli.options import Command

EXAMPLES = """
mmppvit rewrite-checkpoint work_dirs/mine/epoch_12.pth epoch_12_plain.pth
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('source')
@click.argument('target')
def command(source: str, target: str) -> None:
    """Make a checkpoint that stock MMEngine wrote loadable under torch >= 2.6, without pickle.

    `load_from` and `--resume` take the result. Checkpoints written with mmppvit imported need no
    such thing.
    """
    if not os.path.isfile(source):
        raise click.UsageError(f'no checkpoint {source}')
    if os.path.exists(target):
        raise click.UsageError(f'{target} exists; choose another name')
    from mmppvit.compat.stock_checkpoint import rewrite_checkpoint
    rewrite_checkpoint(source, target)
    click.echo(f'{target}: for load_from and --resume')
