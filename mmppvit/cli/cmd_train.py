"""``mmppvit train``."""
from __future__ import annotations

import click

from mmppvit.cli.options import Command, cfg_options, launcher_options

EXAMPLES = """
mmppvit train bccd/atss_pevit-tiny_mix_bccd --amp
mmppvit train coco/atss_pevit-tiny_mix_coco \\
    --cfg-options custom_data_root=path/to/mine custom_classes=cat,dog
mmppvit train my_config.py --resume
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('config')
@click.option('--work-dir', help='Folder for logs and checkpoints; default: work_dirs/CONFIG.')
@click.option('--amp', is_flag=True,
              help='Mixed precision: float16 on a GPU, bfloat16 on a CPU that has it.')
@click.option('--auto-scale-lr', is_flag=True,
              help='Scale the learning rate by batch size / auto_scale_lr.base_batch_size.')
@click.option('--resume', is_flag=False, flag_value='auto', metavar='[CHECKPOINT]',
              help='Go on from this checkpoint; without one, from the latest in the work folder.')
@cfg_options
@launcher_options
def command(config: str, **options) -> None:
    """Train a detector.

    CONFIG is a file, or the name of a config that comes with mmppvit, with its folder or without.
    """
    from mmppvit.engine.config_runners import training_runner
    from mmppvit.utils.cpu_dist import leave_dist
    training_runner(config, **options).train()
    leave_dist()
