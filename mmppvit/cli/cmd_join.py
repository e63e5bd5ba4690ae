"""``mmppvit join``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, cfg_options

EXAMPLES = """
mmppvit join my_config.py work_dirs/mine/epoch_12.pth --out detector.pth
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('config')
@click.argument('checkpoint', type=PathType())
@click.option('--out', required=True, type=PathType(), help='.pth or .safetensors to write.')
@cfg_options
def command(config: str, checkpoint: Path, out: Path, cfg_options: tuple[str, ...]) -> None:
    """Put both halves of a two-party training together.

    CONFIG is that of the training, CHECKPOINT the owner's; the host has to run.
    """
    from mmppvit.models.checkpoints import write_state_dict
    from mmppvit.two_party.join import join_halves
    from mmppvit.utils.config_files import load_config
    whole = join_halves(load_config(config, cfg_options), checkpoint)
    write_state_dict(out, whole)
    click.echo(f"{out}: {len(whole)} tensors; run it with the config in which backbone.type is "
               "'PEViT'")
