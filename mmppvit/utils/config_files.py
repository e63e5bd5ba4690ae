"""What the command-line tools do to a config before they build a runner from it."""
from __future__ import annotations

import os.path as osp

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from mmppvit.compat.cpu_dist import prepare_cpu_dist

__all__ = ['apply_custom_dataset', 'load_config']

_DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_EVALUATORS = ('val_evaluator', 'test_evaluator')


def load_config(path: str,
                cfg_options: dict | None = None,
                work_dir: str | None = None,
                launcher: str = 'none') -> Config:
    """Config of a command-line tool: read, overridden, and with a work folder.

    Where there is no GPU it also joins the processes of ``launcher``.

    Args:
        path (str): Config file.
        cfg_options (dict, optional): Overrides, as from ``--cfg-options``.
        work_dir (str, optional): Defaults to the config's own, else ``work_dirs/<name>``.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        FileNotFoundError: There is no such config.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'no config {path}: see configs/ for the ones that are here')
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(cfg_options or {})
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or osp.join(
        'work_dirs', osp.splitext(osp.basename(path))[0])
    prepare_cpu_dist(cfg)
    return apply_custom_dataset(cfg)


def apply_custom_dataset(cfg: Config) -> Config:
    """Put ``custom_data_root`` and ``custom_classes`` wherever a config repeats them.

    The first replaces ``data_root`` of every data set and its prefix in the evaluators'
    ``ann_file``; the second ``metainfo`` of every data set and ``num_classes`` of every head.
    Either may be None or absent. ``cfg`` is changed in place and returned.
    """
    root, classes = cfg.get('custom_data_root'), cfg.get('custom_classes')
    datasets = [leaf for key in _DATALOADERS if cfg.get(key)
                for leaf in _leaf_datasets(cfg[key]['dataset'])]
    if root:
        root = osp.join(osp.expanduser(root), '')
        old_roots = {dataset.get('data_root') for dataset in datasets} - {None, ''}
        for dataset in datasets:
            dataset.data_root = root
        for evaluator in _evaluators(cfg):
            for old in old_roots:
                if (evaluator.get('ann_file') or '').startswith(old):
                    evaluator.ann_file = root + evaluator.ann_file[len(old):]
                    break
        print_log(f'custom_data_root: {len(datasets)} data sets read {root}', logger='current')
    if classes:
        classes = (classes, ) if isinstance(classes, str) else tuple(classes)
        for dataset in datasets:
            dataset.metainfo = dict(classes=classes)
        heads = _set_num_classes(cfg.model, len(classes))
        print_log(f'custom_classes: {classes} in {len(datasets)} data sets and {heads} heads',
                  logger='current')
    return cfg


def _leaf_datasets(dataset: ConfigDict) -> list[ConfigDict]:
    """Data sets below wrappers such as ConcatDataset and RepeatDataset."""
    if 'dataset' in dataset:
        return _leaf_datasets(dataset['dataset'])
    if 'datasets' in dataset:
        return [leaf for part in dataset['datasets'] for leaf in _leaf_datasets(part)]
    return [dataset]


def _evaluators(cfg: Config) -> list[ConfigDict]:
    found = [cfg.get(key) or [] for key in _EVALUATORS]
    return [item for entry in found
            for item in (entry if isinstance(entry, (list, tuple)) else [entry])]


def _set_num_classes(node, count: int) -> int:
    """Set ``num_classes`` in every dict below ``node`` but an RPN's; returns how many."""
    if isinstance(node, (list, tuple)):
        return sum(_set_num_classes(item, count) for item in node)
    if not isinstance(node, dict):
        return 0
    changed = 0
    for key, value in node.items():
        if key == 'num_classes':
            node[key] = count
            changed += 1
        elif key != 'rpn_head':
            changed += _set_num_classes(value, count)
    return changed
