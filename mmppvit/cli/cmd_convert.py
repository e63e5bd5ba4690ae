"""``mmppvit convert``."""
from __future__ import annotations

import click

from mmppvit.cli.options import Command

EXAMPLES = """
mmppvit convert deit_tiny.pth pevit_tiny.safetensors --source deit --target pevit
mmppvit convert yolos_ti.pth peyolos_tiny.pth --source yolos --target peyolos --nonlinear-embed
"""
# Those of mmppvit.models.checkpoints, which needs torch.
SOURCES = ('timm', 'deit', 'yolos', 'peyolos', 'vitdet', 'pevit', 'clip', 'hf-vit', 'hf-yolos')


def _size(name: str, text: str):
    return click.option(name, nargs=2, type=int, metavar='H W', help=text)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('src')
@click.argument('dst')
@click.option('--source', required=True, type=click.Choice(SOURCES), help='Whose layout SRC has.')
@click.option('--target', required=True, type=click.Choice(['pevit', 'peyolos']))
@click.option('--patch-size', type=int, default=16, help='Pixels of the plain image; default 16.')
@click.option('--grid', type=int, default=2, help='Default 2; 1 for plain images.')
@click.option('--kernel', type=click.Choice(['pinv', 'bicubic', 'direct']), default='pinv',
              help='How a kernel of another patch size is resampled: pinv, the default, so that '
              'enlarged images have the same tokens (FlexiViT); bicubic, as an image; direct, as '
              'pinv, and to the side of a sub-patch at once, without a sum of sub-kernels.')
@click.option('--nonlinear-embed', is_flag=True,
              help="The paper's embedding, with GELU and a 1x1 convolution.")
@click.option('--class-token', is_flag=True,
              help='Keep the class token, with its own position added (pevit).')
@click.option('--allow-partial', is_flag=True,
              help='Write what fits, though tensors are missing or unexpected.')
@click.option('--weights', metavar='NAME', help='Of several sets of weights in SRC the one to '
              'take, e.g. model_ema; default: the averaged one.')
@click.option('--force', is_flag=True, help='Replace DST.')
@click.option('--arch', help='tiny, small or base; inferred unless given, as are the next three.')
@click.option('--embed-dims', type=int)
@click.option('--num-layers', type=int)
@click.option('--num-heads', type=int)
@_size('--init-size', "Of SRC's table of positions, in pixels of the plain image (peyolos).")
@_size('--mid-init-size', "Of SRC's tables between blocks (peyolos).")
@_size('--table-size', 'Of the new table (peyolos).')
@_size('--mid-table-size', 'Of the new tables between blocks (peyolos).')
@click.option('--det-tokens', type=int, help='For a SRC without any; default 100 (peyolos).')
@click.option('--new-embed', is_flag=True, help='Leave the embedding at its initialization, as '
              'the released PEYOLOS does (peyolos).')
@click.option('--drop-mid-table', is_flag=True,
              help="Leave out SRC's tables between blocks (peyolos).")
@click.option('--classes', type=click.Choice(['coco80', 'keep']),
              help="COCO's 80 among a YOLOS' 92 logits, the default, or all (peyolos).")
def command(src: str, dst: str, arch: str | None, embed_dims: int | None, num_layers: int | None,
            num_heads: int | None, init_size, mid_init_size, table_size, mid_table_size,
            **options) -> None:
    """Convert a checkpoint of another vision transformer to one for PEViT or PEYOLOS.

    SRC is .safetensors, or .pth that needs no pickle; DST the same, and load_from takes .pth only.
    Prints what became of every tensor; docs/checkpoints.md has a command for each pair.
    """
    arch = _arch(arch, dict(embed_dims=embed_dims, num_layers=num_layers, num_heads=num_heads))
    from rich.console import Console

    from mmppvit.models.checkpoints import TableSizes
    from mmppvit.models.checkpoints.conversion import convert_file
    count, report = convert_file(
        src, dst, arch=arch, sizes=TableSizes(*(size and tuple(size) for size in (
            init_size, mid_init_size, table_size, mid_table_size))),
        show=lambda report: Console().print(report.table()), **options)
    click.echo(f'{dst}: {count} tensors, for a config with')
    for part, values in report.config.items():
        text = ', '.join(f'{key}={value!r}' for key, value in values.items())
        click.echo(f'  {part}=dict({text})')
    arch = report.config['backbone']['arch']
    if 'num_heads' not in arch and isinstance(arch, dict):
        click.echo('  where arch lacks what tensors do not show: add num_heads')


def _arch(name: str | None, sizes: dict[str, int | None]) -> str | dict | None:
    given = [key for key, value in sizes.items() if value is not None]
    if name and given:
        raise click.UsageError(
            '--arch says all that --embed-dims, --num-layers and --num-heads say')
    if given and len(given) < len(sizes):
        raise click.UsageError('--embed-dims, --num-layers and --num-heads go together')
    return sizes if given else name
