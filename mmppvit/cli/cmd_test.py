"""``mmppvit test``."""
from __future__ import annotations

import click

from mmppvit.cli.options import Command, cfg_options, launcher_options

EXAMPLES = """
mmppvit test bccd/atss_pevit-tiny_mix_bccd work_dirs/atss_pevit-tiny_mix_bccd/epoch_12.pth
mmppvit test my_config.py epoch_12.pth --out results.json --show-dir drawn
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('config')
@click.argument('checkpoint')
@click.option('--work-dir', help='Folder for the log and the metrics.')
@click.option('--out', help='Write the predictions: PREFIX.json for COCO results '
              "(PREFIX.bbox.json, ...), FILE.pkl for what MMDetection's analysis tools read.")
@click.option('--show', is_flag=True, help='Show the predictions.')
@click.option('--show-dir', help='Draw the predictions into <work-dir>/<time>/SHOW_DIR.')
@click.option('--wait-time', type=float, default=2., help='Seconds per shown image.')
@click.option('--tta', is_flag=True, help='Test-time augmentation: flips.')
@cfg_options
@launcher_options
def command(config: str, checkpoint: str, **options) -> None:
    """Evaluate a detector.

    CONFIG is a file, or the name of a config that comes with mmppvit; CHECKPOINT a file or a URL.
    """
    from mmppvit.engine.config_runners import evaluation_runner
    from mmppvit.utils.cpu_dist import leave_dist
    evaluation_runner(config, checkpoint, **options).test()
    leave_dist()
