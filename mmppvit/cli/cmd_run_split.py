"""``mmppvit run-split``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, cfg_options

EXAMPLES = """
mmppvit run-split backbone backbone.safetensors IMAGES --out TOKENS
mmppvit run-split head head.safetensors CONFIG TOKENS
"""


class Group(click.Group, Command):
    """Two commands under one name."""


@click.group(cls=Group, examples=EXAMPLES)
def command() -> None:
    """Run a detector that `mmppvit split` divided, half by half.

    The first needs images as the detector sees them (mixed, shuffled) and neither config nor key.
    """


@command.command(cls=Command, examples=EXAMPLES)
@click.argument('model', type=PathType())
@click.argument('images', type=PathType(), nargs=-1, required=True)
@click.option('--out', type=PathType(), required=True, help='Folder for the token files.')
@click.option('--batch-size', type=click.IntRange(1), default=1,
              help='Images at once, padded to the largest; default 1.')
def backbone(model: Path, images: tuple[Path, ...], out: Path, batch_size: int) -> None:
    """Turn images, or folders of them, into token files.

    MODEL is the file of --backbone-out.
    """
    from mmppvit.cli.console import progress_bar
    from mmppvit.two_party.run_halves import run_backbone
    with progress_bar('Backbone') as progress:
        count = run_backbone(model, images, out, batch_size, progress)
    click.echo(f'{count} token files are in {out}')


@command.command(cls=Command, examples=EXAMPLES)
@click.argument('model', type=PathType())
@click.argument('config')
@click.argument('tokens', type=PathType())
@click.option('--out', help='PREFIX.json: write COCO results (PREFIX.bbox.json, ...).')
@cfg_options
def head(model: Path, config: str, tokens: Path, out: str | None,
         cfg_options: tuple[str, ...]) -> None:
    """Turn token files into detections, and evaluate them.

    MODEL is the file of --head-out; CONFIG has the test set, its pipeline and its evaluator.
    """
    if out and not out.endswith('.json'):
        raise click.UsageError(f'--out {out}: must end in .json')
    from mmppvit.cli.console import progress_bar
    from mmppvit.two_party.run_halves import run_head
    with progress_bar('Head') as progress:
        metrics = run_head(model, config, tokens, out, cfg_options, progress)
    for name, value in metrics.items():
        click.echo(f'{name}: {value}')
