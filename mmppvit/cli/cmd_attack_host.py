"""``mmppvit attack-host``."""
from __future__ import annotations

import json
from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, cfg_options

EXAMPLES = """
mmppvit attack-host received.bin my_config.py
mmppvit host --insecure --record received.bin    # makes the recording
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('recording', type=PathType())
@click.argument('config')
@click.option('--known', type=click.IntRange(0), default=20,
              help='Images whose boxes the attacker has; default 20.')
@click.option('--json', 'as_json', is_flag=True, help='Print JSON.')
@cfg_options
def command(recording: Path, config: str, known: int, as_json: bool,
            cfg_options: tuple[str, ...]) -> None:
    """Attack a two-party training as its host could, and say what it finds.

    RECORDING is of `mmppvit host --record`, CONFIG that of the training: it has the boxes and
    places that the guesses are scored by.
    """
    from mmppvit.attacks.host_view.host_truth import attack_host
    scores, images, steps = attack_host(recording, config, cfg_options, known)
    if as_json:
        click.echo(json.dumps(dict(scores=scores, images=images, steps=steps)))
        return
    from rich.table import Table

    from mmppvit.cli.console import print_table
    table = Table(title=f'{images} images, {steps:.1f} steps each')
    for name in ('what the host finds', 'gradients', 'patches alone', 'chance'):
        table.add_column(name)
    for name, row in scores.items():
        table.add_row(name, *(f'{row[key]:.3f}' for key in ('gradients', 'patches', 'chance')))
    print_table(table)
