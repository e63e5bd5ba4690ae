"""``mmppvit compare-plans``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit compare-plans plans/boards plans/faces --out curve.png
mmppvit compare-plans docs/map.csv --out docs/map.png
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('plans', nargs=-1, required=True, type=PathType(), metavar='PLAN...')
@click.option('--out', type=PathType(), required=True, metavar='FILE', help='The plot, a PNG.')
def command(plans: tuple[Path, ...], out: Path) -> None:
    """Compare plans: what schemes cost against the size of objects in patches.

    PLAN is a folder of `mmppvit plan`, or a table like its plan.csv. Only what was trained to the
    end counts, and has a control on plain images that saw as many.
    """
    from rich.markup import escape
    from rich.table import Table

    from mmppvit.cli.console import print_table
    from mmppvit.plan.size_curve import mean_ratios, ratios, read_plans
    found = ratios(read_plans(plans))
    from mmppvit.plan.plan_plots import plot_curve
    table = Table(title='relative to plain images')
    for title in ('data', 'scheme', 'object in patches', 'mAP', 'AP50', 'seeds'):
        table.add_column(title, justify='left' if title in ('data', 'scheme') else 'right')
    for one in sorted(found, key=lambda one: (one.data, one.object_patches, one.label)):
        table.add_row(escape(one.data), escape(one.label), f'{one.object_patches:.2f}',
                      f'{one.ratio:.3f}' + '*' * (not one.equal),
                      '' if one.ratio50 is None else f'{one.ratio50:.3f}', f'{one.seeds}')
    print_table(table)
    if not all(one.equal for one in found):
        click.echo('* the control has patches of another size')
    for label, (ratio, count) in mean_ratios(found).items():
        click.echo(f'{label}: {ratio:.3f}, mean over {count} data sets')
    plot_curve(out, found)
    click.echo(f'The curve: {out}')
