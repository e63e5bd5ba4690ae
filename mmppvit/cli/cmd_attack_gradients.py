"""``mmppvit attack-gradients``."""
from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit attack-gradients images                      # four images, resized to 64x64
mmppvit attack-gradients images --size 32 --patch-size 8 --num-images 20 --json
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('img_dir', type=PathType())
@click.option('--num-images', type=click.IntRange(1), default=4, help='Default 4.')
@click.option('--size', type=click.IntRange(1), default=64,
              help='Side in pixels to which the images are resized; default 64.')
@click.option('--patch-size', type=click.IntRange(1), default=16, help='Default 16.')
@click.option('--steps', type=click.IntRange(1), default=600, help='Of each search; default 600.')
@click.option('--seed', type=click.IntRange(0), default=0)
@click.option('--json', 'as_json', is_flag=True, help='Print JSON.')
def command(img_dir: Path, num_images: int, as_json: bool, **options) -> None:
    """Attack the gradient that a client sends in federated training, from one image each.

    The client trains a small ViT on plain images, once with positions and once without (PEViT). Of
    the attackers, "closed form" solves linear equations, "search" looks for an image of the same
    gradient, and "patches known" is given all patches and looks for their order alone.
    """
    from mmppvit.attacks.attackers.gradient_leakage import attack_clients
    leaks = attack_clients(img_dir, num_images, **options,
                           progress=lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(json.dumps({name: asdict(leak) for name, leak in leaks.items()}))
        return
    from rich.table import Table

    from mmppvit.cli.console import print_table
    table = Table(title='What the gradient of one image tells, mean of the images')
    for title in ('model, attacker', 'PSNR, dB', 'PSNR in any order, dB', 'patches in place',
                  'chance'):
        table.add_column(title, justify='left' if title.startswith('model') else 'right')
    for name, leak in leaks.items():
        table.add_row(name, f'{leak.psnr:.1f}', f'{leak.psnr_any_order:.1f}',
                      f'{leak.in_place:.2f}', f'{leak.chance:.2f}')
    print_table(table)
