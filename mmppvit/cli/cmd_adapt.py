"""``mmppvit adapt``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit adapt mmdet::retinanet/retinanet_r50_fpn_1x_coco.py -o my_config.py
mmppvit adapt my_stock_config.py --scheme mix+center --statistics 200 -o my_config.py
mmppvit adapt my_stock_config.py --scheme mix+center+shuffle --key-file owner.key -o keyed.py
mmppvit adapt my_stock_config.py --scheme mix+center --patch-size 8 --points 64 -o small.py
mmppvit adapt my_stock_config.py --sealed sealed --key-file owner.key -o sealed_config.py
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('config')
@click.option('-o', '--out', type=PathType(), required=True, metavar='FILE', help='The new config.')
@click.option('--scheme',
              type=click.Choice(['mix', 'mix+center', 'mix+shuffle', 'mix+center+shuffle',
                                 'shuffle', 'plain']),
              help='Applied to plain images in the pipelines; default: mix. plain is the control: '
              'the same network on plain images.')
@click.option('--arch', default='small', show_default=True,
              type=click.Choice(['tiny', 'small', 'base']), help='Of the PEViT.')
@click.option('--points', 'num_points', type=click.IntRange(1), metavar='N',
              help='Attention through N learned points, e.g. 64: it costs less than full attention '
              'where patches are many, as small ones are.')
@click.option('--patch-size', type=click.IntRange(1),
              help='In pixels of the plain image; default: 16.')
@click.option('--grid', type=click.IntRange(1),
              help='Sub-patches per side mixed into one; default 2, and 1 for shuffle.')
@click.option('--center-strength', type=click.FloatRange(0, 1), help='Default: 1.')
@click.option('--gain', type=click.FloatRange(1), help='Of centered patches; default: 1.')
@click.option('--sealed', type=PathType(), metavar='DIR',
              help='A sealed data set, or a folder that has train* and val* or test*: they say '
              'scheme and sizes themselves.')
@click.option('--key-file', type=PathType(), metavar='FILE',
              help='For schemes that shuffle, and for sealed metadata.')
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
