"""Take a trained detector apart: the backbone for a host, the rest for the key holder.

    python tools/split_model.py CONFIG work_dirs/mine/epoch_12.pth \
        --backbone-out backbone.safetensors --head-out head.safetensors

tools/run_split.py runs the two.
"""
from __future__ import annotations

import argparse
import os
from contextlib import suppress
from pickle import UnpicklingError

from mmppvit.cli.console import plain_errors
from mmppvit.models.checkpoints import read_state_dict
from mmppvit.two_party.split import split_detector, write_part
from mmppvit.utils.config_files import load_config

import torch
from mmdet.registry import DATASETS
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file, .pth or .safetensors')
    parser.add_argument('--backbone-out', required=True, help='.safetensors file to write')
    parser.add_argument('--head-out', required=True, help='.safetensors file to write')
    parser.add_argument('--force', action='store_true', help='replace files that exist')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction,
        help='override the config: key=value, key="[a,b]", key=a,b or key="[(a,b),(c,d)]"')
    return parser.parse_args()


def check_files(args: argparse.Namespace) -> None:
    """Raise before any work is done for what would fail at its end."""
    if not os.path.isfile(args.checkpoint):
        raise FileNotFoundError(f'no checkpoint {args.checkpoint}')
    outs = [args.backbone_out, args.head_out]
    if os.path.abspath(outs[0]) == os.path.abspath(outs[1]):
        raise ValueError('--backbone-out and --head-out are the same file')
    for path in outs:
        if not path.endswith('.safetensors'):
            raise ValueError(f'{path} has to end in .safetensors')
        if os.path.exists(path) and not args.force:
            raise FileExistsError(f'{path} exists; choose another name, or --force')


def dataset_meta(cfg: Config, checkpoint: str) -> dict:
    """Classes and palette: the checkpoint's, else those of the config's test set."""
    meta = None
    if not checkpoint.endswith('.safetensors'):
        # What read_state_dict takes beside weights comes from other programs, without our meta.
        with suppress(UnpicklingError):
            content = torch.load(checkpoint, map_location='cpu', weights_only=True)
            meta = (content.get('meta') or {}).get('dataset_meta')
    if not meta or 'classes' not in meta:
        dataset = cfg.test_dataloader.dataset
        while 'dataset' in dataset or 'datasets' in dataset:
            dataset = dataset.get('dataset') or dataset['datasets'][0]
        meta = DATASETS.get(dataset.type)._load_metainfo(dataset.get('metainfo'))
    return {key: meta[key] for key in ('classes', 'palette') if key in meta}


def split(args: argparse.Namespace) -> tuple[tuple, tuple]:
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    state = read_state_dict(args.checkpoint)
    try:
        return split_detector(cfg.model, state, dataset_meta(cfg, args.checkpoint))
    except TypeError as err:  # a backbone or data preprocessor that cannot be split off
        raise ValueError(f'{args.config}: {err}') from err


def main() -> None:
    args = parse_args()
    with plain_errors():
        check_files(args)
        backbone, head = split(args)
        write_part(args.backbone_out, 'backbone', *backbone)
        write_part(args.head_out, 'head', *head)
    for path, (tensors, _) in ((args.backbone_out, backbone), (args.head_out, head)):
        print(f'{path}: {len(tensors)} tensors, '
              f'{sum(x.numel() for x in tensors.values()) / 1e6:.1f} M numbers')


if __name__ == '__main__':
    main()
