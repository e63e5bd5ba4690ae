"""``mmppvit attack-contents``."""
from __future__ import annotations

import json
from dataclasses import asdict

import click

from mmppvit.cli.options import Command, Many, PathType

EXAMPLES = """
mmppvit attack-contents --sealed sealed/train --ann instances_train.json
mmppvit attack-contents --sealed sealed/train --ann instances_train.json --plain images --json
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--sealed', required=True, help='Folder of the sealed data set.')
@click.option('--ann', type=PathType(), cls=Many, required=True, metavar='COCO_JSON...',
              help='What the plain images show, in one file or several.')
@click.option('--plain', 'plain_dir', type=PathType(),
              help='Folder of the plain images, to compare with what their patches tell.')
@click.option('--scale', type=click.IntRange(0), default=0, help='Which of the sealed scales.')
@click.option('--folds', type=click.IntRange(2), default=5,
              help='Of the cross-validation; default 5.')
@click.option('--seed', type=click.IntRange(0), default=0)
@click.option('--json', 'as_json', is_flag=True, help='Print JSON.')
def command(as_json: bool, **options) -> None:
    """Tell what sealed images show, such as whether there is a person, from patches in any order.

    The attacker has images of the same kind, with labels. It gets no key and looks for no order.
    """
    from mmppvit.attacks.contents.content_attack import attack_contents
    scores = attack_contents(**options)
    if as_json:
        click.echo(json.dumps([asdict(score) for score in scores]))
        return
    from rich.markup import escape
    from rich.table import Table

    from mmppvit.cli.console import print_table
    table = Table(title='Whether images show a class: area under the ROC curve (guessing: 0.5)')
    for title in ('class', 'images with it', 'sealed patches', '95 % interval', 'size alone',
                  'plain patches'):
        table.add_column(title, justify='left' if title == 'class' else 'right')
    for score in scores:
        table.add_row(escape(score.name), f'{score.with_it} of {score.images}',
                      f'{score.sealed:.2f}', f'{score.low:.2f} to {score.high:.2f}',
                      f'{score.size:.2f}', '-' if score.plain is None else f'{score.plain:.2f}')
    print_table(table)
