"""``mmppvit attack-boxes``."""
from __future__ import annotations

import json
from dataclasses import asdict

import click

from mmppvit.cli.options import Command, Many, PathType, key_options

EXAMPLES = """
mmppvit attack-boxes --sealed sealed/train --plain images --ann boxes.json --key-file owner.key
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--sealed', required=True, help='Folder of the sealed data set.')
@click.option('--plain', 'plain_dir', type=PathType(), required=True,
              help='Folder of images it was sealed from.')
@click.option('--ann', type=PathType(), cls=Many, required=True, metavar='COCO_JSON...',
              help='Boxes of the plain images, in one file or several.')
@click.option('--num-victims', type=click.IntRange(2), default=24,
              help='Images to attack; default 24.')
@click.option('--num-pairs', type=click.IntRange(1), default=400,
              help='Images for the attacker to learn from, at most; default 400.')
@click.option('--scale', type=click.IntRange(0), default=0, help='Which of the sealed scales.')
@click.option('--seed', type=click.IntRange(0), default=0)
@click.option('--json', 'as_json', is_flag=True, help='Print JSON.')
@key_options
def command(as_json: bool, key_source, **options) -> None:
    """Put shuffled patches into the boxes that they belong to, where boxes are in the clear.

    The attacker has images of the same kind, with boxes. The key scores the order; the attacker
    does not get it. `mmppvit seal --seal-metadata` hides the boxes.
    """
    from mmppvit.attacks.contents.box_attack import attack_boxes
    scores = attack_boxes(key=key_source.load(), **options)
    if as_json:
        click.echo(json.dumps([asdict(score) for score in scores]))
        return
    from rich.markup import escape
    from rich.table import Table

    from mmppvit.cli.console import print_table
    table = Table(title='Share of the patches that were put into a box of their class')
    for title in ('class', 'patches', 'placed', '95 % interval', 'random order'):
        table.add_column(title, justify='left' if title == 'class' else 'right')
    for score in scores:
        table.add_row(escape(score.name), str(score.patches), f'{score.placed:.2f}',
                      f'{score.low:.2f} to {score.high:.2f}', f'{score.chance:.2f}')
    print_table(table)
