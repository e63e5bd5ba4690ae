"""``mmppvit demo``."""
from __future__ import annotations

import os
import time
from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit demo
mmppvit demo --minutes 15 --data path/to/coco --work-dir work_dirs/mine
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--work-dir', type=PathType(), default='work_dirs/demo',
              help='Folder of everything that is written; default work_dirs/demo.')
@click.option('--data', type=PathType(), metavar='DIR',
              help="A data set in COCO's layout; default: synthetic images.")
@click.option('--scale', metavar='WxH',
              help='Fit the images of --data into this size when sealing; default 384x384.')
@click.option('--minutes', type=click.FloatRange(0, min_open=True), default=4.5,
              help='For all of it; the number of epochs follows from how fast this machine is. '
              'Default 4.5.')
@click.option('--epochs', type=click.IntRange(1), help='Train so many, however long it takes.')
@click.option('--num-train', type=click.IntRange(4), default=640,
              help='Synthetic images to train on; default 640.')
@click.option('--num-val', type=click.IntRange(4), default=96,
              help='Synthetic images to evaluate on; default 96.')
@click.option('--num-rows', type=click.IntRange(2), default=3,
              help='Images on the sheet; default 3.')
@click.option('--score-thr', type=click.FloatRange(0, 1), default=.3,
              help='Least score of the boxes on the sheet; default 0.3.')
@click.option('--attacks', default='vit,jigsaw-mgc', metavar='NAMES',
              help='Attackers, with commas between them; the best one is shown; default '
              'vit,jigsaw-mgc.')
@click.option('--attack-seconds', type=click.FloatRange(0), default=20.,
              help='That each attacker may learn; default 20.')
def command(scale: str | None, data: Path | None, **options) -> None:
    """Seal, train, detect and attack, on synthetic images.

    Makes a key, seals files that nobody can read (mixed, centered, shuffled), trains a detector
    from the sealed folder, prints its mAP, attacks the files, and draws one sheet with what the
    owner, the host, the key holder and the attacker see.
    """
    # Read when torch is imported. Threads that spin for long while they wait take the cores that
    # the data loader or anything else on the machine needs.
    started = time.time()
    os.environ.setdefault('GOMP_SPINCOUNT', '1000')
    from mmppvit.cli.console import parse_size
    from mmppvit.utils.user_errors import need_packages
    need_packages('torch', 'mmdet', 'skimage', 'jinja2')
    from mmppvit.demo.demo_run import DemoOptions, run_demo
    size = None if data is None else parse_size(scale or '384x384')
    click.echo(run_demo(DemoOptions(data=data, scale=size, started=started, **options)))
