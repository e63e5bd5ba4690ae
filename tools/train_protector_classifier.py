"""Learned protection for classifiers: train one on plain images, freeze it, train a protector.

    python tools/train_protector_classifier.py                                  # drawn sample
    python tools/train_protector_classifier.py --data cifar-10-batches-bin --vgg vgg16.pth --amp

It ends with a table: the accuracy of the untouched classifier on plain and on protected images,
in float, rounded to 8 bit, through JPEG of quality 90; and how alike protected and plain ones are.
Run again with --resume it goes on where it stopped.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

# Read when torch is imported: threads that spin while they wait take the data loader's cores.
os.environ.setdefault('GOMP_SPINCOUNT', '1000')

from mmppvit.classification.protection_config import (
    PAPER,
    SAMPLE,
    ProtectionRecipe,
    classifier_stage,
    data_sets,
    protector_stage,
)
from mmppvit.classification.protection_table import WAYS, measure
from mmppvit.cli.console import plain_errors
from mmppvit.datasets.synthetic_classes import write_synthetic_classes
from mmppvit.engine import use_amp
from mmppvit.models.classifiers.building import choose_model
from mmppvit.models.protectors import load_protector, save_protector
from mmppvit.utils.atomic import write_atomic

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--models', nargs='+', default=['resnet20_cifar', 'vgg16_bn_cifar'],
        help="names in timm's registry; default: those of the paper")
    add('--data', help='cifar-10-batches-bin, cifar-100-binary, or a folder with train/CLASS/* and '
        'val/CLASS/*; default: a drawn sample')
    add('--work-dir', default='work_dirs/protector_classifier')
    add('--num-train', type=int, default=1200, help='images of the drawn sample')
    add('--num-val', type=int, default=400)
    add('--vgg', metavar='FILE', help='ImageNet weights of VGG16 for the perceptual distance; '
        'without them random features are compared')
    add('--round', action='store_true', help='round to 8 bit in training, too')
    add('--amp', action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU that has it')
    add('--resume', action='store_true', help='go on with what is in the work folder')
    add('--seed', type=int, default=0)
    add('--num-workers', type=int, default=0, help='of each data loader')
    group = parser.add_argument_group('recipe (defaults: that of the paper, and a short one for '
                                      'the drawn sample)')
    for name, kind in (('epochs', int), ('protector_epochs', int), ('batch_size', int),
                       ('lr', float), ('weight_decay', float), ('alpha', float),
                       ('protector', str), ('img_size', int)):
        both = ', '.join(str(getattr(recipe, name)) for recipe in (PAPER, SAMPLE))
        group.add_argument('--' + name.replace('_', '-'), type=kind, help=f'({both})')
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> tuple[ProtectionRecipe, tuple[dict, dict, list[str]]]:
    """Recipe and data; what can be wrong with the options is wrong here."""
    recipe = (PAPER if args.data else SAMPLE).override(**{
        name: getattr(args, name) for name in (
            'epochs', 'protector_epochs', 'batch_size', 'lr', 'weight_decay', 'alpha', 'protector',
            'img_size')})
    for name in args.models:
        choose_model(name, False)
    MODELS.build(dict(type='ProtectionUNet', arch=recipe.protector))
    MODELS.build(perceptual(args))
    _check_settings(args, recipe)
    data = args.data or write_synthetic_classes(
        Path(args.work_dir) / 'synthetic_classes', args.num_train, args.num_val, recipe.img_size,
        args.seed)
    return recipe, data_sets(data, recipe, args.seed)


def _check_settings(args: argparse.Namespace, recipe: ProtectionRecipe) -> None:
    """Refuse to go on with what was begun with other options."""
    path = Path(args.work_dir) / 'settings.json'
    asked = json.loads(json.dumps(dict(
        recipe=vars(recipe), data=args.data, num_train=args.num_train, num_val=args.num_val,
        vgg=args.vgg, round=args.round, amp=args.amp, seed=args.seed)))
    if args.resume and path.is_file() and json.loads(path.read_text()) != asked:
        raise ValueError(f'{args.work_dir} was begun with other options ({path}): give the same to '
                         '--resume, or choose another --work-dir')
    write_atomic(path, json.dumps(asked, indent=1).encode())


def perceptual(args: argparse.Namespace) -> dict:
    if args.vgg:
        return dict(type='VGGDistance', checkpoint=args.vgg)
    # A sixteenth of the work, for the sample.
    return dict(type='RandomFeatureDistance', **({} if args.data else dict(channels=(16, 32))))


def train_both(name: str, args: argparse.Namespace, recipe: ProtectionRecipe,
               sets: tuple[dict, dict, list[str]]) -> dict[str, float]:
    """Both stages of one model, as far as they are not done yet; then its row of the table."""
    work = Path(args.work_dir) / name
    options = dict(seed=args.seed, num_workers=args.num_workers)
    weights, protector = work / 'plain/classifier.safetensors', work / 'protector.safetensors'
    plain = classifier_stage(name, sets, recipe, work_dir=work / 'plain', **options)
    if not args.resume:
        forget(weights, work / 'plain/last_checkpoint')
    if not weights.is_file():
        forget(protector, work / 'protected/last_checkpoint')
        train(plain, args)
    cfg = protector_stage(plain.model, str(weights), recipe, perceptual(args), args.round, sets,
                          work_dir=work / 'protected', **options)
    if protector.is_file():
        model = MODELS.build(cfg.model)
        model.protector.load_state_dict(load_protector(protector).network.state_dict())
    else:
        model = train(cfg, args)
        save_protector(protector, model.protector, model.made_for)
    return measure(model, Runner.build_dataloader(cfg.val_dataloader))


def forget(*paths: Path) -> None:
    """So that --resume, now or later, finds nothing of an older run."""
    for path in paths:
        path.unlink(missing_ok=True)


def train(cfg: Config, args: argparse.Namespace):
    """The trained model."""
    cfg.resume = args.resume
    if args.amp:
        use_amp(cfg)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.model


def print_table(rows: dict[str, dict[str, float]]) -> None:
    table = Table(title='top-1 accuracy in percent of the classifier trained on plain images')
    table.add_column('classifier')
    for title in (*WAYS, 'SSIM to plain'):
        table.add_column(title, justify='right')
    for name, row in rows.items():
        table.add_row(name, *(f'{row[way]:.1f}' for way in WAYS), f'{row["SSIM"]:.3f}')
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def main() -> None:
    args = parse_args()
    init_default_scope('mmdet')  # a runner does, and with --resume there may be none
    with plain_errors():
        recipe, sets = prepare(args)
        rows = {name: train_both(name, args, recipe, sets) for name in args.models}
        path = Path(args.work_dir) / 'table.json'
        write_atomic(path, json.dumps(rows, indent=1).encode())
    print_table(rows)
    print(f'The figures: {path}')


if __name__ == '__main__':
    main()
