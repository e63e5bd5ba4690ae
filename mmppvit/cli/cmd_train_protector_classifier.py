"""``mmppvit train-protector-classifier``."""
from __future__ import annotations

import os
from pathlib import Path

import click

from mmppvit.cli.options import Command, Many

EXAMPLES = """
mmppvit train-protector-classifier                                      # synthetic images
mmppvit train-protector-classifier --data cifar-10-batches-bin --vgg vgg16.pth --amp
"""
# Option -> type and its values in the recipe for CIFAR and in that for synthetic images.
RECIPE = {
    '--epochs': (int, '200, 16'),
    '--protector-epochs': (int, '200, 12'),
    '--batch-size': (int, '128, 32'),
    '--lr': (float, '0.1, 0.01'),
    '--weight-decay': (float, '0.0005, 0.0005'),
    '--alpha': (float, '0.01, 0.01'),
    '--protector': (str, 'paper, light'),
    '--img-size': (int, '32, 32'),
}


def recipe_options(function):
    """Add an option for each field of the recipe."""
    for option, (kind, values) in reversed(RECIPE.items()):
        function = click.option(option, type=kind, help=f'({values})')(function)
    return function


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--models', cls=Many, default=('resnet20_cifar', 'vgg16_bn_cifar'),
              metavar='NAME...', help="Names in timm's registry; default: those of the paper.")
@click.option('--data', help='cifar-10-batches-bin, cifar-100-binary, or a folder with '
              'train/CLASS/* and val/CLASS/*; default: synthetic images.')
@click.option('--work-dir', default='work_dirs/protector_classifier')
@click.option('--num-train', type=int, default=1200, help='Synthetic images to train on.')
@click.option('--num-val', type=int, default=400, help='Synthetic images to test on.')
@click.option('--vgg', metavar='FILE', help='ImageNet weights of VGG16 for the perceptual '
              'distance; without them random features are compared.')
@click.option('--round', is_flag=True, help='Round to 8 bit in training, too.')
@click.option('--amp', is_flag=True,
              help='Mixed precision: float16 on a GPU, bfloat16 on a CPU that has it.')
@click.option('--resume', is_flag=True, help='Go on with what is in the work folder.')
@click.option('--seed', type=int, default=0)
@click.option('--num-workers', type=click.IntRange(0), default=0, help='Of each data loader.')
@recipe_options
def command(**options) -> None:
    """Train a classifier on plain images, freeze it, and train a protector for it.

    Prints the accuracy of the frozen classifier on plain images and on protected ones (float, 8
    bit, JPEG of quality 90), and the SSIM of protected to plain images. In parentheses: the values
    of the recipe for CIFAR, and of the one for synthetic images.
    """
    # Read when torch is imported: threads that spin while they wait take the data loader's cores.
    os.environ.setdefault('GOMP_SPINCOUNT', '1000')
    from mmppvit.engine.protector_experiment import ProtectionOptions, protect_classifiers
    names = [option[2:].replace('-', '_') for option in RECIPE]
    recipe = {name: options.pop(name) for name in names}
    rows = protect_classifiers(ProtectionOptions(recipe=recipe, **options))
    print_rows(rows)
    click.echo(f'The figures: {Path(options["work_dir"]) / "table.json"}')


def print_rows(rows: dict[str, dict[str, float]]) -> None:
    """The figures as a table."""
    from rich.table import Table

    from mmppvit.cli.console import print_table
    from mmppvit.evaluation.protected_accuracy import WAYS
    table = Table(title='top-1 accuracy in percent of the classifier trained on plain images')
    table.add_column('classifier')
    for title in (*WAYS, 'SSIM to plain'):
        table.add_column(title, justify='right')
    for name, row in rows.items():
        table.add_row(name, *(f'{row[way]:.1f}' for way in WAYS), f'{row["SSIM"]:.3f}')
    print_table(table, 120)
