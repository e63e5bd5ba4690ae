"""``mmppvit attack``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, Many, PathType, key_options

EXAMPLES = """
mmppvit attack --sealed sealed/train --plain images --out report --key-file owner.key
mmppvit attack --sealed sealed/train --plain images --out report --attacks thumbnail,vit --budget 10
mmppvit attack ... --detector plain.py --checkpoint plain.pth --ann boxes.json
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--sealed', required=True, help='Folder of the sealed data set.')
@click.option('--plain', required=True, help='Folder of images it was sealed from.')
@click.option('--out', required=True, type=PathType(), help='Folder for the report.')
@click.option('--view', type=click.Choice(['files', 'host', 'gradients']), default='files',
              expose_value=False, help='What the attacker sees: sealed files (default); what the '
              'host of a two-party training receives, as attack-host; the gradients of a client '
              'in federated training, as attack-gradients. --view NAME --help has their options.')
@click.option('--attacks', default='all', metavar='NAMES',
              help='all, or some with commas between them; a wrong name lists what there is.')
@click.option('--protector', help='Of scheme learned: the network, which attackers have, too.')
@click.option('--window', type=float, nargs=2, metavar='LO HI',
              help='The one that images of more than 8 bits were sealed with.')
@click.option('--budget', type=float, default=60,
              help='Minutes of learning, all attackers together, in equal parts; default 60.')
@click.option('--longest', type=float, default=0,
              help='Minutes. Attackers that learn do so again with twice the time, until it gains '
              'less than 2 percent or would take longer than this; default 0: once.')
@click.option('--num-victims', type=int, default=24, help='Images to attack; default 24.')
@click.option('--num-pairs', type=int, default=400,
              help='Images for the attackers to learn from, at most; default 400.')
@click.option('--scale', type=int, default=0, help='Which of the sealed scales.')
@click.option('--seed', type=int, default=0)
@click.option('--threads', type=int, default=1, help='CPU threads of an attacker; default 1.')
@click.option('--device', default='cpu', help='Where attackers learn: cpu (default), cuda, cuda:1, '
              '...')
@click.option('--memory', type=float, default=0,
              help='GiB that the process of an attacker may have; 0, the default, for no limit. '
              'Not with a GPU.')
@click.option('--detector', metavar='CONFIG', type=PathType(),
              help='Config of a detector that was trained on plain images; with --checkpoint and '
              '--ann the report has its average precision on what was reconstructed.')
@click.option('--checkpoint', type=PathType(), help="The detector's weights.")
@click.option('--ann', type=PathType(), cls=Many, metavar='COCO_JSON...',
              help='Boxes of the plain images, in one file or several.')
@click.option('--judges', default='', metavar='NAMES',
              help='faces, identity, text and perceptual, or some with commas between them, or '
              'all: what faces and writing come back (extra judges).')
@click.option('--models', type=PathType(), help='Folder of the weights of judges; default: models '
              'beside the folder $MMPPVIT_DATA.')
@key_options
def command(out: Path, attacks: str, key_source, budget: float, longest: float,
            detector: Path | None, checkpoint: Path | None, ann: tuple[Path, ...], judges: str,
            models: Path | None, **settings) -> int:
    """Attack a sealed data set and report what leaks.

    Writes report.json and one page to read and show, report.html. Run again with the same options
    it goes on where it stopped. The key scores reconstructed orders; attackers never get it. Exit
    status 1: some attacker failed or ran out of time.
    """
    from mmppvit.attacks.attack_run import attack_and_report
    from mmppvit.attacks.runner import AttackSettings
    settings = AttackSettings(budget=60 * budget, longest=60 * longest, **settings)
    key = key_source.load() if key_source.is_given else None
    report, whole = attack_and_report(
        settings, out, attacks=attacks, key=key, detector=detector, checkpoint=checkpoint, ann=ann,
        judges=judges, models=models, progress=lambda line: click.echo(line, err=True))
    print_report(report)
    click.echo('\n'.join(report['verdict']))
    click.echo(f'The report: {out / "report.html"}')
    return int(not whole)


def print_report(report: dict) -> None:
    """The figures as a table."""
    from rich.markup import escape
    from rich.table import Table

    from mmppvit.cli.console import print_table
    below = any(row['below_as_it_is'] for row in report['rows'])
    table = Table(title=escape(f'{report["sealed"]}: {report["scheme_text"]}'),
                  caption='< less than the sealed image as it is' if below else None)
    table.add_column('attacker')
    for column in report['columns']:
        table.add_column(column['title'], justify='right')
    for row in (report['floor'], report['as_it_is'], *report['rows'], report['ceiling']):
        cells = [f'{"<" * (c["key"] in row["below_as_it_is"])}{_cell(row["metrics"][c["key"]], c)}'
                 if c['key'] in row['metrics'] else '-' for c in report['columns']]
        ending = '' if row['status'] == 'done' else f' ({row["status"]})'
        table.add_row(row['name'] + ending, *cells)
    print_table(table)


def _cell(value: dict, column: dict) -> str:
    """'3 of 412', or the mean."""
    if 'of' in value:
        return f'{value["found"]} of {value["of"]}'
    return f'{value["mean"]:.{column["digits"]}f}'
