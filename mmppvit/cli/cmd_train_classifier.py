"""``mmppvit train-classifier``."""
from __future__ import annotations

import os

import click

from mmppvit.classification.recipe import DEIT, SAMPLE
from mmppvit.cli.options import Command, Many, launcher_options

EXAMPLES = """
mmppvit train-classifier                      # a synthetic sample, a few minutes on two CPU cores
mmppvit train-classifier --data crops --encrypt mi --model-kwargs depth=3
mmppvit train-classifier --data imagenet --amp --num-workers 8
"""
RECIPE = (
    ('--img-size', int, 'Side of the plain image, in whole patches'),
    ('--crop', float, 'Least share of an image that a training crop shows; 1 keeps its scale, as '
     'pretraining for a detector wants'),
    ('--hflip', float, 'Share of the images that are mirrored'),
    ('--crop-pct', float, 'Share of the shorter side that evaluation looks at, None for what timm '
     'has of the model'),
    ('--epochs', int, 'Epochs'),
    ('--batch-size', int, 'Images a step and process'),
    ('--lr', float, 'Learning rate at 512 images a step, scaled with their number'),
    ('--weight-decay', float, 'Weight decay'),
    ('--warmup-epochs', int, 'Epochs of warmup'),
    ('--drop-path', float, 'Stochastic depth'),
    ('--mixup', float, 'Parameter of its beta distribution, 0 for none'),
    ('--cutmix', float, 'The same'),
    ('--label-smoothing', float, 'Label smoothing'),
    ('--ema-decay', float, 'Decay of --ema'),
)
NAMES = (*(option[2:].replace('-', '_') for option, _, _ in RECIPE), 'auto_augment')


def _default(name: str) -> str:
    """The recipe's value: DeiT's, and that of the synthetic sample."""
    return ', '.join(f'{getattr(recipe, name)!r}' for recipe in (DEIT, SAMPLE))


def recipe_options(function):
    """Add an option for each field of the recipe."""
    function = click.option(
        '--aa', '--auto-augment', 'auto_augment', metavar='POLICY',
        help=f"timm's policy, '' for none ({_default('auto_augment')}).")(function)
    for option, kind, text in reversed(RECIPE):
        name = option[2:].replace('-', '_')
        function = click.option(option, type=kind, help=f'{text} ({_default(name)}).')(function)
    return function


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--model', default='pevit_tiny_patch16_224', help="Name in timm's registry.")
@click.option('--model-kwargs', cls=Many, metavar='KEY=VALUE...', help='Arguments of the model.')
@click.option('--data', help='Folder with train/CLASS/* and val/CLASS/*.')
@click.option('--encrypt', type=click.Choice(['plain', 'rs', 'mi', 'mi+rs']), default='plain',
              help='rs shuffles the patches, mi mixes their sub-patches.')
@click.option('--patch-size', type=int, default=16, help='Side of a patch of the plain image.')
@click.option('--grid', type=int, default=2, help='Sub-patches per side that mi mixes into one.')
@click.option('--mean', type=float, nargs=3, metavar='R G B',
              help='Of the images, 0 to 255, as data_preprocessor of the detector that the weights '
              "are for; default: the model's.")
@click.option('--std', type=float, nargs=3, metavar='R G B', help='The same.')
@click.option('--work-dir', help='Default: work_dirs/classify_MODEL_ENCRYPT.')
@click.option('--num-train', type=int, default=1200, help='Images of the synthetic sample.')
@click.option('--num-val', type=int, default=400, help='The same.')
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

    Without --data it trains on synthetic images. In parentheses: DeiT's recipe, and a short one for
    the synthetic sample.
    """
    # Read when torch is imported: threads that spin while they wait take the data loader's cores.
    os.environ.setdefault('GOMP_SPINCOUNT', '1000')
    from mmppvit.classification.classifier_run import ClassifierOptions, run_classifier
    from mmppvit.utils.config_overrides import parse_overrides
    recipe = {name: options.pop(name) for name in NAMES}
    text = run_classifier(ClassifierOptions(
        recipe=recipe, model_kwargs=parse_overrides(model_kwargs, '--model-kwargs'), **options))
    if text is not None:
        click.echo(text)
