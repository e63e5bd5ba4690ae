"""``mmppvit split``."""
from __future__ import annotations

import click

from mmppvit.cli.options import Command, cfg_options

EXAMPLES = """
mmppvit split my_config.py work_dirs/mine/epoch_12.pth \\
    --backbone-out backbone.safetensors --head-out head.safetensors
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('config')
@click.argument('checkpoint')
@click.option('--backbone-out', required=True, help='.safetensors file to write, for the host.')
@click.option('--head-out', required=True, help='.safetensors file to write, for the key holder.')
@click.option('--force', is_flag=True, help='Replace files that exist.')
@cfg_options
def command(**options) -> None:
    """Divide a trained detector into a backbone for a host and the rest for the key holder.

    `mmppvit run-split` runs the two. CHECKPOINT is .pth or .safetensors.
    """
    from mmppvit.two_party.split_checkpoint import split_checkpoint
    for path, (tensors, values) in split_checkpoint(**options).items():
        click.echo(f'{path}: {tensors} tensors, {values / 1e6:.1f} M numbers')
