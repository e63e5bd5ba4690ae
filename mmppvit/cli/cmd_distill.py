"""``mmppvit distill``."""
from __future__ import annotations

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit distill --teacher vit.safetensors --images photos --scheme mix+center \\
    --out adapted.safetensors
mmppvit distill --teacher vit.safetensors --images images --ann instances_train.json \\
    --scheme mix --trainable first:4 --out adapted.safetensors --resume
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--teacher', required=True, type=PathType(), metavar='FILE',
              help='Checkpoint of a plain ViT with positions.')
@click.option('--images', required=True, type=PathType(), metavar='DIR',
              help='Plain images; no labels are needed.')
@click.option('--ann', type=PathType(), help='COCO json: only the images that it names.')
@click.option('--scheme', default='mix+center',
              help='plain, or NAME[,PARAMETER=VALUE...], e.g. mix,grid=4; default mix+center.')
@click.option('--out', required=True, type=PathType(), metavar='FILE',
              help='.safetensors or .pth, for init_cfg of a backbone.')
@click.option('--patch-size', type=click.IntRange(1), default=16,
              help='Of the plain image; default 16.')
@click.option('--cells', type=click.IntRange(1), default=8,
              help='Side of a view in patches; default 8.')
@click.option('--views', type=click.IntRange(1), default=4, help='Of each image; default 4.')
@click.option('--smallest', type=float, default=.25,
              help='Side of the smallest view in shorter sides of the image; default 0.25.')
@click.option('--epochs', type=click.IntRange(1), default=3, help='Default 3.')
@click.option('--batch', type=click.IntRange(1), default=16, help='Views of a step; default 16.')
@click.option('--lr', type=float, help='Default: 1e-3 for --trainable embed, else 2e-4.')
@click.option('--trainable', default='all', metavar='embed|first:K|all',
              help='The embedding; also the first K blocks; everything, the default.')
@click.option('--loss', type=click.Choice(['smooth-l1', 'cosine']), default='smooth-l1',
              help='Between layer-normalized tokens; default smooth-l1.')
@click.option('--start', type=PathType(), metavar='FILE',
              help="What the student starts from, e.g. an adapted file; default: the teacher's "
              'weights.')
@click.option('--class-token/--no-class-token', default=True,
              help='The student keeps the class token, which has no place; default on.')
@click.option('--kernel', type=click.Choice(['pinv', 'bicubic', 'direct']), default='pinv',
              help='How the kernel is made for other patches, see `mmppvit convert`; default pinv.')
@click.option('--statistics', type=click.Choice(['imagenet', 'measured']), default='imagenet',
              help='Mean and deviation that pixels are normalized by; default imagenet.')
@click.option('--reference-encoding', is_flag=True,
              help="The student has PEViT's reference-based encoding.")
@click.option('--held-out', type=float, default=.05,
              help='Share of the images that the loss is measured on; default 0.05.')
@click.option('--num-heads', type=click.IntRange(1),
              help='Of attention, where a file is of no known size; default: one for 64 channels.')
@click.option('--seed', type=int, default=0)
@click.option('--device', help='cpu, cuda, cuda:1, ...; default: a GPU if there is one.')
@click.option('--resume', is_flag=True, help='Go on with an interrupted run, if there is one.')
@click.option('--force', is_flag=True, help='Replace --out, and begin anew.')
def command(resume: bool, force: bool, device: str | None, **options) -> None:
    """Adapt pretrained weights to encrypted images, without labels.

    A PEViT that sees encrypted views learns to give the tokens that the pretrained ViT, with its
    positions, gives for the plain ones. Whoever has the plain images runs it once; the file that
    comes out starts detectors on sealed sets.
    """
    from mmengine.device import get_device

    from mmppvit.cli.console import progress_bar
    from mmppvit.transfer.distill_run import DistillJob, distill
    job = DistillJob(**options, device=get_device() if device is None else device)

    def show(epoch: int, held_out: float, train: float | None) -> None:
        text = '' if train is None else f', training {train:.4f}'
        click.echo(f'epoch {epoch}: loss on held-out views {held_out:.4f}{text}')

    with progress_bar('Distilling') as bar:
        result = distill(job, resume, force, show, lambda title, done, total: bar(done, total))
    click.echo(f'{job.out}: for a config with')
    for part, values in result.config.items():
        click.echo(f'  {part}=dict({", ".join(f"{k}={v!r}" for k, v in values.items())})')
