"""Evaluate a checkpoint: MMDetection's tools/test.py, with plain errors and custom_data_root."""
from __future__ import annotations

import argparse
import os

from mmppvit.compat.cpu_dist import leave_dist
from mmppvit.utils.config_files import load_config

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmdet.registry import RUNNERS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.runner import Runner


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='folder for the log and the metrics')
    parser.add_argument(
        '--out',
        help='write the predictions: PREFIX.json for COCO results (PREFIX.bbox.json, ...), '
        'FILE.pkl for what MMDetection\'s analysis tools read')
    parser.add_argument('--show', action='store_true', help='show the predictions')
    parser.add_argument('--show-dir', help='paint the predictions into <work-dir>/<time>/SHOW_DIR')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per shown image')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction,
        help='override the config: key=value, key="[a,b]", key=a,b or key="[(a,b),(c,d)]"')
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation: flips')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if args.out and not args.out.endswith(('.json', '.pkl', '.pickle')):
        parser.error(f'--out {args.out}: must end in .json or .pkl')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def use_tta(cfg: Config) -> None:
    """Average the predictions on the image and its mirror image, unless the config knows better."""
    cfg.setdefault('tta_model', dict(
        type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=.5), max_per_img=100)))
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip',
                 'flip_direction')
    cfg.setdefault('tta_pipeline', [
        *dataset.pipeline[:-1],
        dict(type='TestTimeAug', transforms=[
            [dict(type='RandomFlip', prob=1.), dict(type='RandomFlip', prob=0.)],
            [dict(type='PackDetInputs', meta_keys=meta_keys)],
        ])
    ])
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline


def write_coco_results(cfg: Config, out: str) -> None:
    """Let the COCO metrics keep their results under the prefix ``out`` less ``.json``."""
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        if 'Coco' in evaluator.type:
            evaluator.outfile_prefix = out[:-len('.json')]


class DumpDetResultsLessOrder(DumpDetResults):
    """Without the order of shuffled patches, which is for the holder of the key alone."""

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        super().process(data_batch, [
            {key: value for key, value in sample.items() if key != 'patch_order'}
            for sample in data_samples])


def main() -> None:
    args = parse_args()
    setup_cache_size_limit_of_dynamo()
    cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    if not os.path.isfile(args.checkpoint) and '://' not in args.checkpoint:
        raise FileNotFoundError(f'no checkpoint {args.checkpoint}')
    cfg.load_from = args.checkpoint
    # A part of the weights would give a number that means nothing.
    cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or []
                        if hook.get('type') != 'CheckedLoadHook']
    cfg.custom_hooks.append(dict(type='CheckedLoadHook', strict=True))
    if args.show or args.show_dir:
        cfg = trigger_visualization_hook(cfg, args)
    if args.tta:
        use_tta(cfg)
    if args.out and args.out.endswith('.json'):
        write_coco_results(cfg, args.out)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if args.out and not args.out.endswith('.json'):
        runner.test_evaluator.metrics.append(DumpDetResultsLessOrder(out_file_path=args.out))
    runner.test()
    leave_dist()


if __name__ == '__main__':
    main()
