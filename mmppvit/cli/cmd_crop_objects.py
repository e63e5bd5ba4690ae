"""``mmppvit crop-objects``."""
from __future__ import annotations

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit crop-objects --ann instances_train.json --img-dir images --out crops
mmppvit train-classifier --data crops --encrypt mix --model-kwargs depth=3
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--ann', required=True, type=PathType(), help='COCO json.')
@click.option('--img-dir', required=True, type=PathType(), help='Folder of its images.')
@click.option('--out', required=True, type=PathType(), help='Gets train/CLASS/ and val/CLASS/.')
@click.option('--size', type=click.IntRange(1), default=96,
              help='Side of a crop in pixels; default 96.')
@click.option('--scale', type=float, default=1.,
              help='Pixels of the crop per pixel of the image: as the detector resizes; default 1.')
@click.option('--max-per-class', type=click.IntRange(1), default=1000,
              help='Crops of a class; default 1000.')
@click.option('--shift', type=float, default=0.,
              help='Move the middle of a crop by up to this share of the object, 0.5 for anywhere '
              'within it; objects of rare classes are then cut more than once, each time at '
              'another place, up to --max-per-class.')
@click.option('--directions', is_flag=True,
              help='Five classes of each: the object lies in the middle of the crop, or left, '
              'right, above or below; with --shift.')
@click.option('--background', type=click.IntRange(0), default=0,
              help='Also cut out so many places an image that show no object in their middle, as a '
              'class of their own: what a detector has to tell objects from.')
@click.option('--val-share', type=float, default=.2, help='Of the images; default 0.2.')
@click.option('--seed', type=int, default=0)
def command(**options) -> None:
    """Cut out the objects of a COCO data set, one folder a class, to pretrain a classifier on.

    With --shift and --directions the classes also say where in a crop the object lies. A classifier
    of those knows more of what a detector is asked; mirrored images would lie, so train it by
    --hflip 0.
    """
    from mmppvit.cli.console import progress_bar
    from mmppvit.datasets.object_crops import CropOptions, crop_objects
    options = CropOptions(**options)
    with progress_bar('Cutting') as progress:
        counts = crop_objects(options, progress)
    click.echo(f'{options.out}: ' + ', '.join(
        f'{n} {label}' for label, n in sorted(counts.items())))
