"""``mmppvit browse``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, cfg_options

EXAMPLES = """
mmppvit browse bccd/atss_pevit-tiny_mix_bccd --not-show
mmppvit browse my_config.py --split val --num 5 --output-dir drawn
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('config')
@click.option('--split', type=click.Choice(['train', 'val', 'test']), default='train')
@click.option('--output-dir', type=PathType(), default='work_dirs/browse',
              help='Receives a PNG for each image; default work_dirs/browse.')
@click.option('--num', type=click.IntRange(1), default=20, help='Images; default 20.')
@click.option('--not-show', is_flag=True, help='Only write files.')
@click.option('--show-interval', type=float, default=2.,
              help='Seconds an image stays in the window; default 2.')
@cfg_options
def command(config: str, split: str, output_dir: Path, num: int, not_show: bool,
            show_interval: float, cfg_options: tuple[str, ...]) -> None:
    """Draw what a config's pipeline makes of its images, plain beside encrypted.

    Of shuffled images the layout is shown as well, to whoever has the key.
    """
    from mmppvit.cli.console import progress_bar
    from mmppvit.visualization.browsing import browse_config
    done = 0
    with progress_bar('Drawing') as progress:
        for done, total in enumerate(browse_config(
                config, split, output_dir, num, cfg_options,
                None if not_show else show_interval), 1):
            progress(done, total)
    click.echo(f'{done} images are in {output_dir}')
