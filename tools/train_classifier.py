"""Train a classifier, PEViT or any other of timm, on encrypted images.

Without --data it trains on drawn images, which takes a few minutes on two CPU cores.
"""
from __future__ import annotations

import argparse
import os
from pathlib import Path

# Read when torch is imported: threads that spin while they wait take the data loader's cores.
os.environ.setdefault('GOMP_SPINCOUNT', '1000')

from mmppvit.classification.config import classification_config
from mmppvit.classification.recipe import DEIT, SAMPLE, Recipe
from mmppvit.cli.console import plain_errors
from mmppvit.compat.cpu_dist import leave_dist, prepare_cpu_dist
from mmppvit.datasets.image_encryption import ENCRYPTIONS
from mmppvit.datasets.synthetic_classes import write_synthetic_classes
from mmppvit.engine import use_amp
from mmppvit.models.checkpoints.to_classifier import load_classifier
from mmppvit.models.classifiers.building import build_classifier, choose_model

from mmengine.config import Config, DictAction
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

SAMPLE_DEPTH = 3  # blocks of the vision transformers that train on the drawn sample


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--model', default='pevit_tiny_patch16_224', help="name in timm's registry")
    add('--model-kwargs', nargs='+', action=DictAction, default={},
        help='arguments of the model: key=value')
    add('--data', help='folder with train/CLASS/* and val/CLASS/*')
    add('--encrypt', choices=ENCRYPTIONS, default='plain',
        help='rs shuffles the patches, mi mixes their sub-patches')
    add('--patch-size', type=int, default=16, help='side of a patch of the plain image')
    add('--grid', type=int, default=2, help='sub-patches per side that mi mixes into one')
    for name in ('mean', 'std'):
        add(f'--{name}', type=float, nargs=3, metavar=('R', 'G', 'B'),
            help='of the images, 0 to 255, as data_preprocessor of the detector that the weights '
            "are for; default: the model's")
    add('--work-dir', help='default: work_dirs/classify_MODEL_ENCRYPT')
    add('--num-train', type=int, default=1200, help='images of the drawn sample')
    add('--num-val', type=int, default=400)
    add('--amp', action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU that has it')
    add('--resume', nargs='?', const='auto',
        help='go on from this checkpoint; without a path, from the latest in the work folder')
    add('--init', metavar='CHECKPOINT', help='start from these weights (fine-tuning)')
    add('--eval-only', metavar='CHECKPOINT', help='evaluate these weights, do not train')
    add('--seed', type=int, default=0)
    add('--num-workers', type=int, default=0, help='of each data loader')
    add('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    add('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    _add_recipe(parser.add_argument_group('recipe (defaults: that of DeiT, and a short one for '
                                          'the drawn sample)'))
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    def add(*names: str, kind: type = float, text: str = '') -> None:
        group.add_argument(*names, type=kind, help=f'{text} ({_default(names[0])})'.strip())

    add('--img-size', kind=int, text='side of the plain image, in whole patches')
    add('--crop', text='least share of an image that a training crop shows; 1 keeps its scale, as '
        'pretraining for a detector wants')
    add('--hflip', text='share of the images that are mirrored')
    add('--crop-pct', text='share of the shorter side that evaluation looks at, None for what '
        'timm has of the model')
    add('--epochs', kind=int)
    add('--batch-size', kind=int, text='images a step and process')
    add('--lr', text='learning rate at 512 images a step, scaled with their number')
    add('--weight-decay')
    add('--warmup-epochs', kind=int)
    add('--drop-path', text='stochastic depth')
    add('--mixup', text='parameter of its beta distribution, 0 for none')
    add('--cutmix', text='the same')
    add('--label-smoothing')
    add('--aa', '--auto-augment', kind=str, text="timm's policy, '' for none")
    group.add_argument('--ema', action='store_true', help='evaluate and save averaged weights')
    add('--ema-decay')


def _default(option: str) -> str:
    name = 'auto_augment' if option == '--aa' else option[2:].replace('-', '_')
    return ', '.join(f'{getattr(recipe, name)!r}' for recipe in (DEIT, SAMPLE))


def choose_recipe(args: argparse.Namespace) -> Recipe:
    names = ('epochs', 'batch_size', 'lr', 'weight_decay', 'warmup_epochs', 'drop_path', 'mixup',
             'cutmix', 'label_smoothing', 'img_size', 'crop', 'hflip', 'crop_pct', 'ema_decay')
    return (DEIT if args.data else SAMPLE).override(
        auto_augment=args.aa, **{name: getattr(args, name) for name in names})


def prepare_data(args: argparse.Namespace, img_size: int) -> str:
    """Folder of the data set, drawn if none is named."""
    if args.data:
        if not os.path.isdir(args.data):
            raise FileNotFoundError(f'no folder {args.data}: --data names a folder with '
                                    'train/CLASS/* and val/CLASS/*')
        return args.data
    if args.launcher != 'none':
        raise ValueError('the drawn sample is for one process: name your images by --data')
    folder = Path(args.work_dir) / 'synthetic_classes'
    return str(write_synthetic_classes(folder, args.num_train, args.num_val, img_size, args.seed))


def prepare_config(args: argparse.Namespace) -> Config:
    """The config of the run; everything that can be wrong with the options is wrong here."""
    recipe = choose_recipe(args)
    mixes = args.encrypt.startswith('mi')
    grid = args.grid if mixes else 1
    name = choose_model(args.model, mixes)
    args.work_dir = args.work_dir or f'work_dirs/classify_{name}_{args.encrypt}'
    kwargs = dict(drop_path_rate=recipe.drop_path) if recipe.drop_path else {}
    if not args.data and name.startswith(('pevit_', 'deit_', 'vit_')):
        kwargs['depth'] = SAMPLE_DEPTH
    model, kwargs = build_classifier(name, kwargs | args.model_kwargs, recipe.img_size,
                                     args.patch_size, grid)
    cfg = classification_config(
        prepare_data(args, recipe.img_size), model, dict(name=name, kwargs=kwargs),
        dict(name=args.encrypt, patch_size=args.patch_size, grid=grid), recipe, args.seed,
        args.num_workers, {name: tuple(value / 255 for value in values) for name, values in (
            ('mean', args.mean), ('std', args.std)) if values})
    cfg.work_dir, cfg.launcher = args.work_dir, args.launcher
    apply_options(cfg, args, recipe)
    prepare_cpu_dist(cfg)
    return cfg


def apply_options(cfg: Config, args: argparse.Namespace, recipe: Recipe) -> None:
    if args.amp:
        use_amp(cfg)
    if args.eval_only:
        cfg.default_hooks.checkpoint.save_best = None  # there is nothing to save
    elif args.ema:
        cfg.custom_hooks.append(dict(type='EMAHook', ema_type='ExpMomentumEMA', gamma=100,
                                     momentum=1 - recipe.ema_decay))
    if args.resume:
        if args.resume != 'auto' and not os.path.isfile(args.resume):
            raise FileNotFoundError(f'no checkpoint {args.resume}: --resume without a path takes '
                                    'the latest in the work folder')
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume


def run(cfg: Config, args: argparse.Namespace) -> dict[str, float]:
    """Metrics of the evaluation, or of the last one of training."""
    for checkpoint in (args.init, args.eval_only):
        if checkpoint and not os.path.isfile(checkpoint):
            raise FileNotFoundError(f'no checkpoint {checkpoint}: name a .pth or .safetensors')
    runner = Runner.from_cfg(cfg)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if args.eval_only:
        load_classifier(model.model, args.eval_only)
        return runner.val()
    if args.init:
        load_classifier(model.model, args.init, strict=False)
    runner.train()
    scalars = runner.message_hub.log_scalars
    return {name: scalars[f'val/{name}'].current()
            for name in ('accuracy/top1', 'accuracy/top5') if f'val/{name}' in scalars}


def report(metrics: dict[str, float], cfg: Config) -> None:
    figures = ', '.join(f'{name.split("/")[1].replace("top", "top-")} {value:.1f} %'
                        for name, value in metrics.items())
    encryption = cfg.val_dataloader.dataset.encryption.name
    print(f'{cfg.model.name} on {encryption} images: {figures}')


def main() -> None:
    args = parse_args()
    with plain_errors():
        cfg = prepare_config(args)
        metrics = run(cfg, args)
        if is_main_process():
            report(metrics, cfg)
        leave_dist()


if __name__ == '__main__':
    main()
