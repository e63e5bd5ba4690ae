"""``mmppvit plan``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, Many, PathType, cfg_options

EXAMPLES = """
mmppvit plan my_stock_config.py --out plans/mine --epochs 12 --dry-run
mmppvit plan my_stock_config.py --out plans/mine --epochs 12 --halving
mmppvit plan atss_pevit-tiny_scheme_deeppcb --out plans/deeppcb --images-seen 3000 \\
    --schemes mix+shuffle mix+shuffle:grid=4 mix+center+shuffle --max-loss 0.05
mmppvit plan my_stock_config.py --out plans/mine --plan schemes.yaml --reports reports
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('config')
@click.option('--out', type=PathType(), required=True, metavar='DIR',
              help='Folder for plan.csv, plan.png and the trainings; a plan there goes on.')
@click.option('--schemes', cls=Many, metavar='NAME[:KEY=VALUE,...]...',
              help='What to choose from, e.g. mix+shuffle:patch_size=8,grid=4 blur:strength=4; '
              'plain images are added.')
@click.option('--plan', 'plan_file', type=PathType(), metavar='FILE',
              help='YAML file with schemes: [...], and perhaps these options.')
@click.option('--max-loss', type=click.FloatRange(0, 1), metavar='SHARE',
              help='Of the plain mAP that a scheme may cost; default 0.03.')
@click.option('--epochs', type=click.IntRange(1), help='Length of each training.')
@click.option('--images-seen', type=click.IntRange(1), metavar='N',
              help='Length of each training in images, in place of epochs.')
@click.option('--seeds', type=click.IntRange(1), help='Trainings of each scheme; default 1.')
@click.option('--halving', is_flag=True, default=None,
              help='After a third of each training only plain images and the better half go on.')
@click.option('--jobs', type=click.IntRange(1), help='Trainings at a time; default 1.')
@click.option('--arch', default='small', show_default=True,
              type=click.Choice(['tiny', 'small', 'base']), help='Of the PEViT of stock configs.')
@click.option('--statistics', type=click.IntRange(1), default=64, show_default=True, metavar='N',
              help='Training images that mean and deviation are measured on, for each scheme.')
@click.option('--reports', type=PathType(), metavar='DIR',
              help='Reports of `mmppvit attack`, as DIR/NAME/report.json: rank by what attackers '
              'got.')
@click.option('--dry-run', is_flag=True,
              help='Print the trainings and how long they will take here.')
@cfg_options
def command(config: str, plan_file: Path | None, schemes: tuple[str, ...], dry_run: bool,
            max_loss: float | None, **options) -> int:
    """Choose a scheme: train a detector on each and compare.

    CONFIG is one that `mmppvit adapt` can adapt, or one that takes SCHEME from the environment.
    Each training is a process of its own. Interrupted, the same command goes on where it was. Exit
    status 1: a training failed; its row says why.
    """
    from mmppvit.plan.plan_files import chosen_candidates
    from mmppvit.plan.planner import Plan, PlanOptions
    candidates, given = chosen_candidates(schemes, plan_file)
    if options['epochs'] or options['images_seen']:  # either replaces both of the file
        given = {key: given[key] for key in given.keys() - {'epochs', 'images_seen'}}
    given = {**given, **{key: value for key, value in options.items() if value not in (None, ())}}
    budget = given.pop('max_loss', .03) if max_loss is None else max_loss
    given.pop('max_loss', None)
    plan = Plan(PlanOptions(config, candidates=candidates, **given), click.echo)
    if dry_run:
        _print_estimate(plan)
        return 0
    from mmppvit.plan.outcome import finish
    rows, verdict = finish(plan, budget)
    _print_rows(rows)
    click.echo('\n'.join(verdict.lines))
    files = [plan.options.out / name for name in ('plan.csv', 'plan.png')]
    click.echo(f'The table: {", ".join(str(file) for file in files if file.is_file())}')
    return int(any(row.status == 'failed' for row in rows))


def _print_estimate(plan) -> None:
    from rich.table import Table

    from mmppvit.cli.console import print_table
    table = Table(title='trainings')
    for title in ('training', 'epochs', 'images', 'patches', 'object in patches', 'minutes'):
        table.add_column(title, justify='left' if title == 'training' else 'right')
    total = 0.
    for training, known, seconds in plan.estimate():
        size = known.object_patches
        table.add_row(training.name, f'{known.epochs}', f'{known.num_images}',
                      f'{known.tokens:.0f}', '' if size is None else f'{size:.2f}',
                      f'{seconds / 60:.1f}')
        total += seconds
    print_table(table)
    click.echo(f'About {total / 60:.0f} minutes one after the other'
               + (', less what halving drops' if plan.options.halving else ''))


def _print_rows(rows: list) -> None:
    from rich.markup import escape
    from rich.table import Table

    from mmppvit.cli.console import print_table
    table = Table(title='trainings')
    for title in ('scheme', 'seed', 'images seen', 'mAP', 'AP50', 'AP small', 'status'):
        table.add_column(title, justify='left' if title in ('scheme', 'status') else 'right')
    for row in rows:
        scores = ['' if value is None else f'{value:.3f}'
                  for value in (row.map, row.map50, row.map_small)]
        table.add_row(escape(row.label), f'{row.seed}', f'{row.images_seen}', *scores, row.status)
    print_table(table)
