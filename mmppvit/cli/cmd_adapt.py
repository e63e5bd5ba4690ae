"""``mmppvit adapt``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit adapt mmdet::retinanet/retinanet_r50_fpn_1x_coco.py -o my_config.py
mmppvit adapt my_stock_config.py --scheme mix+center --statistics 200 -o my_config.py
mmppvit adapt my_stock_config.py --scheme mix+center+shuffle --key-file owner.key -o keyed.py
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('config')
@click.option('-o', '--out', type=PathType(), required=True, metavar='FILE', help='The new config.')
@click.option('--scheme', default='mix', show_default=True,
              type=click.Choice(['mix', 'mix+center', 'mix+shuffle', 'mix+center+shuffle',
                                 'shuffle']), help='Applied to plain images in the pipelines.')
@click.option('--arch', default='small', show_default=True,
              type=click.Choice(['tiny', 'small', 'base']), help='Of the PEViT.')
@click.option('--patch-size', type=click.IntRange(1), default=16, show_default=True,
              help='In pixels of the plain image.')
@click.option('--grid', type=click.IntRange(1),
              help='Sub-patches per side mixed into one; default 2, and 1 for shuffle.')
@click.option('--center-strength', type=click.FloatRange(0, 1), default=1., show_default=True)
@click.option('--key-file', type=PathType(), metavar='FILE', help='For schemes that shuffle.')
@click.option('--weights', metavar='FILE', help='Of a ViT, for the backbone.')
@click.option('--keep-backbone', is_flag=True,
              help='Keep the stock backbone, on images that are mixed in order.')
@click.option('--statistics', type=click.IntRange(0), default=0, metavar='N',
              help='Measure mean and deviation on N encrypted training images.')
@click.option('--inline', is_flag=True, help='Write out the whole config, without _base_.')
def command(config: str, out: Path, weights: str | None, key_file: Path | None,
            inline: bool, **options) -> None:
    """Make an MMDetection config one for encrypted images.

    CONFIG is a file, or one of MMDetection's own as mmdet::FOLDER/NAME.py. The new config is a
    short child of it; a comment says why each field is overridden. What cannot be the same on
    encrypted images is printed; a config without an encrypted counterpart is refused, with the
    reason. docs/adapt.md has more.
    """
    from mmppvit.adapt import adapt_stock, write_child_config
    adapted = adapt_stock(config, pretrained=weights, key_file=key_file and str(key_file),
                          **options)
    for note in adapted.notes:
        click.echo(note)
    line = click.get_current_context().command_path
    header = f'{config} on encrypted images; made by `{line}`, not trained here.'
    write_child_config(adapted, out, config, header, inline)
    click.echo(f'{out}: train it with `mmppvit train {out}`')
