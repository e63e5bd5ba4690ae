"""Train a detector: MMDetection's tools/train.py, with plain errors and custom_data_root."""
from __future__ import annotations

import argparse
import os

from mmppvit.compat.cpu_dist import leave_dist
from mmppvit.engine import use_amp
from mmppvit.utils.config_files import load_config

from mmdet.registry import RUNNERS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, DictAction
from mmengine.runner import Runner


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: float16 on a GPU, bfloat16 on a CPU that has it')
    parser.add_argument(
        '--auto-scale-lr', action='store_true',
        help='scale the learning rate by batch size / auto_scale_lr.base_batch_size')
    parser.add_argument(
        '--resume', nargs='?', const='auto',
        help='go on from this checkpoint; without a path, from the latest in the work folder')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction,
        help='override the config: key=value, key="[a,b]", key=a,b or key="[(a,b),(c,d)]"')
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def apply_options(cfg: Config, args: argparse.Namespace) -> None:
    """Options of the command line that change how the config trains."""
    if args.amp:
        use_amp(cfg)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume


def main() -> None:
    args = parse_args()
    setup_cache_size_limit_of_dynamo()
    cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    apply_options(cfg, args)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.train()
    leave_dist()


if __name__ == '__main__':
    main()
