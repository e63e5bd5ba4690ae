"""``mmppvit train-classifier``."""
from __future__ import annotations

import os

import click

from mmppvit.cli.options import Command, Many, launcher_options

EXAMPLES = """
mmppvit train-classifier                      # synthetic images, about a minute on one CPU core
mmppvit train-classifier --data crops --encrypt mix --model-kwargs depth=3
mmppvit train-classifier --data imagenet --amp --num-workers 8
"""
# Option -> type, text, its values in the recipe after DeiT and in that for synthetic images.
RECIPE = (
    ('--img-size', int, 'Side of the plain image, a multiple of --patch-size', '224, 96'),
    ('--crop', float, 'Least share of an image that a training crop shows; 1 keeps its scale, as '
     'pretraining for a detector wants', '0.08, 0.7'),
    ('--hflip', float, 'Share of the images that are mirrored', '0.5, 0.5'),
    ('--crop-pct', float, 'Share of the shorter side that evaluation looks at',
     "the model's, 1"),
    ('--epochs', int, 'Epochs', '300, 10'),
    ('--batch-size', int, 'Images per step and process', '128, 32'),
    ('--lr', float, 'Learning rate at 512 images per step, scaled with their number',
     '0.0005, 0.008'),
    ('--weight-decay', float, 'Weight decay', '0.05, 0.05'),
    ('--warmup-epochs', int, 'Epochs of warmup', '5, 1'),
    ('--drop-path', float, 'Stochastic depth', '0.1, 0'),
    ('--mixup', float, 'Parameter of the beta distribution of mixup, 0 for none', '0.8, 0'),
    ('--cutmix', float, 'Parameter of the beta distribution of CutMix, 0 for none', '1, 0'),
    ('--label-smoothing', float, 'Label smoothing', '0.1, 0.1'),
    ('--ema-decay', float, 'Decay of --ema', '0.9999, 0.99'),
)
NAMES = (*(option[2:].replace('-', '_') for option, *_ in RECIPE), 'auto_augment')


def recipe_options(function):
    """Add an option for each value of the recipe."""
    function = click.option(
        '--aa', '--auto-augment', 'auto_augment', metavar='POLICY',
        help="timm's policy, '' for none (rand-m9-mstd0.5-inc1, none).")(function)
    for option, kind, text, values in reversed(RECIPE):
        function = click.option(option, type=kind, help=f'{text} ({values}).')(function)
    return function


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--config', metavar='CONFIG', help='Config of configs/classification; default: that '
              "of the recipe after DeiT with --data, else that of synthetic images.")
@click.option('--model', help="Name in timm's registry; default: the config's, a PEViT-tiny.")
@click.option('--model-kwargs', cls=Many, metavar='KEY=VALUE...', help='Arguments of the model.')
@click.option('--data', help='Folder with train/CLASS/* and val/CLASS/*.')
@click.option('--encrypt', metavar='SCHEME', help='plain, mix, shuffle, mix+shuffle, mix+center '
              'or mix+center+shuffle.')
@click.option('--patch-size', type=int, help='Side of a patch of the plain image (16).')
@click.option('--grid', type=int, help='Sub-patches per side that are mixed into one (2).')
@click.option('--mean', type=float, nargs=3, metavar='R G B',
              help='Mean of the images, 0 to 255, as in data_preprocessor of the detector that the '
              "weights are for; default: the model's.")
@click.option('--std', type=float, nargs=3, metavar='R G B',
              help='Standard deviation, in the same way.')
@click.option('--work-dir', help='Default: work_dirs/classify_MODEL_ENCRYPT.')
@click.option('--num-train', type=int, default=1200, help='Synthetic images to train on.')
@click.option('--num-val', type=int, default=400, help='Synthetic images to test on.')
@click.option('--amp', is_flag=True,
              help='Mixed precision: float16 on a GPU, bfloat16 on a CPU that has it.')
@click.option('--resume', is_flag=False, flag_value='auto', metavar='[CHECKPOINT]',
              help='Go on from this checkpoint; without one, from the latest in the work folder.')
@click.option('--init', metavar='CHECKPOINT', help='Start from these weights (fine-tuning).')
@click.option('--eval-only', metavar='CHECKPOINT', help='Evaluate these weights, do not train.')
@click.option('--ema', is_flag=True, help='Evaluate and save averaged weights.')
@click.option('--seed', type=int, default=0)
@click.option('--num-workers', type=click.IntRange(0), default=0, help='Of each data loader.')
@launcher_options
@recipe_options
def command(model_kwargs: tuple[str, ...], **options) -> None:
    """Train a classifier, PEViT or any other of timm, on encrypted images.

    Without --data it trains on synthetic images. In parentheses: the values of the recipe
    after DeiT, and of the one for synthetic images; with --config, those of the config.
    """
    # Read when torch is imported: threads that spin while they wait take the data loader's cores.
    os.environ.setdefault('GOMP_SPINCOUNT', '1000')
    from mmppvit.engine.classifier_run import ClassifierOptions, run_classifier
    from mmppvit.utils.config_overrides import parse_overrides
    recipe = {name: options.pop(name) for name in NAMES}
    text = run_classifier(ClassifierOptions(
        recipe=recipe, model_kwargs=parse_overrides(model_kwargs, '--model-kwargs'), **options))
    if text is not None:
        click.echo(text)
