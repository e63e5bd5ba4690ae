"""``mmppvit attack-tokens``."""
from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit split CONFIG CHECKPOINT --backbone-out backbone.safetensors --head-out head.safetensors
mmppvit attack-tokens backbone.safetensors sealed/train
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('model', type=PathType())
@click.argument('images', type=PathType(), nargs=-1, required=True)
@click.option('--num-images', type=click.IntRange(4), default=80,
              help='At most: half to learn from, half to attack; default 80.')
@click.option('--seed', type=click.IntRange(0), default=0)
@click.option('--json', 'as_json', is_flag=True, help='Print JSON.')
def command(model: Path, images: tuple[Path, ...], num_images: int, seed: int,
            as_json: bool) -> None:
    """Invert the tokens of a backbone half: how much of the patches do they give back?

    MODEL is the file of `mmppvit split --backbone-out`; IMAGES are as the backbone sees them (mixed
    or shuffled). The attacker has the backbone and images like these.
    """
    from mmppvit.attacks.host_view.token_inversion import attack_tokens
    from mmppvit.cli.console import progress_bar
    with progress_bar('Tokens') as progress:
        found = attack_tokens(model, images, num_images, seed, progress)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    click.echo(f'A linear map gives back {found.explained:.0%} of the variance of the pixels of '
               f'each patch (95 % interval {found.low:.0%} to {found.high:.0%}): PSNR '
               f'{found.psnr:.1f} dB, {found.mean_patch_psnr:.1f} dB for the mean patch. Learned '
               f'from {found.learned_from} images, {found.images} attacked.')
