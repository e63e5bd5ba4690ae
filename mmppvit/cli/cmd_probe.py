"""``mmppvit probe``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, Many, PathType

EXAMPLES = """
mmppvit probe --weights vit.safetensors --ann instances_train.json --img-dir images
mmppvit probe --weights vit.safetensors adapted.safetensors --ann instances_test.json \\
    --img-dir images --schemes mix mix+center mix,grid=4 --out rows.csv
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--weights', cls=Many, type=PathType(), required=True, metavar='FILE...',
              help='Checkpoints of ViTs or PEViTs.')
@click.option('--ann', required=True, type=PathType(), help='COCO json.')
@click.option('--img-dir', required=True, type=PathType(), help='Folder of its images.')
@click.option('--test-ann', type=PathType(),
              help='COCO json to test on; default: cross-validation, by image.')
@click.option('--schemes', cls=Many, default=('plain', 'mix', 'mix+center'), metavar='SCHEME...',
              help='plain, or NAME[,PARAMETER=VALUE...], e.g. mix,grid=4; default: plain mix '
              'mix+center. Patches stay in order: a position-free backbone cannot tell.')
@click.option('--patch-size', 'patch_sizes', cls=Many, type=click.IntRange(1), default=(16, ),
              metavar='PIXELS...', help='Of the plain image; default 16.')
@click.option('--positions', cls=Many, type=click.Choice(['kept', 'class', 'none']),
              default=('kept', 'class', 'none'), metavar='WHICH...',
              help='kept, where the scheme keeps the order; class, the class token without '
              'positions; none, neither. Default: all that a file can have.')
@click.option('--no-positions', is_flag=True, help='The same as --positions class none.')
@click.option('--kernel', 'kernels', cls=Many, type=click.Choice(['pinv', 'bicubic', 'direct']),
              default=('pinv', ), metavar='HOW...',
              help='How kernels are made for other patches, see `mmppvit convert`; default pinv.')
@click.option('--statistics', cls=Many, type=click.Choice(['imagenet', 'measured']),
              default=('imagenet', ), metavar='WHICH...',
              help='Mean and deviation that pixels are normalized by; default imagenet.')
@click.option('--floor/--no-floor', default=True,
              help='Also random weights, below which nothing has survived; default on.')
@click.option('--cells', type=click.IntRange(1), default=8,
              help='Side of a view in patches; default 8.')
@click.option('--context', type=float, default=2.,
              help='Side of what is cut out, in sides of the object; default 2.')
@click.option('--max-views', type=int, default=600, help='Of all classes; default 600.')
@click.option('--min-side', type=int, default=16,
              help='Leave out objects of fewer pixels; default 16.')
@click.option('--min-per-class', type=int, default=20,
              help='Leave out classes with fewer objects; default 20.')
@click.option('--background', is_flag=True,
              help='Also a class of places that show no object.')
@click.option('--num-heads', type=click.IntRange(1),
              help='Of attention, where a file is of no known size; default: one for 64 channels.')
@click.option('--seed', type=int, default=0)
@click.option('--title', help='Of the set, in the CSV; default: the name of the json.')
@click.option('--out', type=PathType(), metavar='CSV', help='Gets one row for each setting.')
def command(ann: Path, img_dir: Path, context: float, max_views: int, min_side: int,
            min_per_class: int, background: bool, seed: int, no_positions: bool, positions,
            title: str | None, out: Path | None, **options) -> None:
    """Measure how much of pretrained weights survives encryption, before any training.

    Objects are cut out and encrypted by each scheme; the features of a view are the mean of the
    backbone's patch tokens. Their nearest neighbor and a linear probe tell the classes apart, the
    better the more the weights are worth. Balanced accuracy, with 95 % intervals over images.
    """
    from mmppvit.transfer.object_views import ViewOptions
    from mmppvit.transfer.probe_run import ProbeJob, ProbeResult, run_probe, write_rows
    views = ViewOptions(context=context, max_views=max_views, min_side=min_side,
                        min_per_class=min_per_class, background=background, seed=seed)
    job = ProbeJob(ann, img_dir, options=views,
                   positions=('class', 'none') if no_positions else positions, **options)

    def show(result: ProbeResult) -> None:
        scores = ', '.join(f'{name} {score.accuracy:.3f} [{score.low:.3f}, {score.high:.3f}]'
                           for name, score in result.scores.items())
        click.echo(f'{" ".join(map(str, result.setting))}: {scores}')

    results = run_probe(job, show)
    counts = f'{results[0].views} views of {len(results[0].classes)} classes'
    click.echo(f'{counts}: {", ".join(results[0].classes)}; chance '
               f'{1 / len(results[0].classes):.3f}')
    if out is not None:
        write_rows(out, results, title or ann.stem)
