"""Configs: found by name, read, overridden, and fitted to other data."""
from __future__ import annotations

import difflib
import os.path as osp
from collections.abc import Iterable
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

import mmppvit
from mmppvit.utils.cpu_dist import prepare_cpu_dist
from mmppvit.utils.leaf_datasets import leaf_datasets
from mmppvit.utils.user_errors import UserError

__all__ = ['apply_custom_dataset', 'config_root', 'find_config', 'leaf_evaluators', 'load_config']

_DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_EVALUATORS = ('val_evaluator', 'test_evaluator')
_OTHER_CLASSES = ('backbone', 'rpn_head', 'semantic_head')


def config_root() -> Path | None:
    """Folder of the configs that come with this package; None if it was installed without them.

    They are in the source tree beside the package, and in ``.mim/configs`` of an installed one.
    """
    package = Path(mmppvit.__file__).parent
    for folder in (package.parent / 'configs', package / '.mim/configs'):
        if (folder / '_base_').is_dir():
            return folder
    return None


def find_config(name: str) -> Path:
    """A config file: a path, or a config of this package.

    Args:
        name (str): A path, with or without ``.py``; else the name of a packaged config, with its
            folder or without, e.g. 'bccd/atss_pevit-tiny_mix_bccd' or 'atss_pevit-tiny_mix_bccd'.

    Raises:
        FileNotFoundError: There is no such file, and no such config here.
    """
    for path in (Path(name).expanduser(), Path(f'{name}.py').expanduser()):
        if path.is_file():
            return path
    root = config_root()
    packaged = {} if root is None else {
        path.relative_to(root).with_suffix('').as_posix(): path
        for path in sorted(root.rglob('*.py')) if '_base_' not in path.parts}
    asked = name.removesuffix('.py').removeprefix('configs/')
    found = [path for key, path in packaged.items() if asked in (key, path.stem)]
    if found:
        return found[0]
    names = {short: key for key in packaged for short in (key, key.rpartition('/')[2])}
    close = difflib.get_close_matches(asked, names, 1)
    hint = f'did you mean {names[close[0]]}?' if close else \
        f'configs that come with mmppvit are in {root}' if root else \
        'mmppvit was installed without its configs'
    raise FileNotFoundError(f'no config {name}: {hint}')


def load_config(path: str | Path,
                cfg_options: dict | Iterable[str] | None = None,
                work_dir: str | None = None,
                launcher: str = 'none') -> Config:
    """Config of a command: found, read, overridden, and with a work folder.

    Where there is no GPU it also joins the processes of ``launcher``.

    Args:
        path (str | Path): Config file, or the name of a packaged one, see :func:`find_config`.
        cfg_options (dict | Iterable[str], optional): Overrides: values by dotted key, or
            'KEY=VALUE' each.
        work_dir (str, optional): Defaults to the config's own, else ``work_dirs/<name>``.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        FileNotFoundError: There is no such config.
        ValueError: It cannot be read, or an override leads nowhere.
    """
    from mmppvit.utils.config_overrides import override_config, parse_overrides
    path = find_config(str(path))
    cfg = _read(path)
    if cfg_options:
        override_config(cfg, dict(cfg_options) if isinstance(cfg_options, dict)
                        else parse_overrides(cfg_options))
    cfg.launcher = launcher
    cfg.work_dir = str(work_dir or cfg.get('work_dir') or osp.join('work_dirs', path.stem))
    prepare_cpu_dist(cfg)
    return apply_custom_dataset(cfg)


def _read(path: Path) -> Config:
    root = config_root()
    if root is not None and path.resolve().is_relative_to(root.resolve()):
        return Config.fromfile(str(path))  # what is wrong there is our fault
    try:
        return Config.fromfile(str(path))
    except Exception as err:  # configs are Python: anything may be wrong with them
        reason = ' '.join(str(err).split())
        raise UserError(f'{path} is not a config that can be read: {type(err).__name__}: '
                        f'{reason}') from err


def apply_custom_dataset(cfg: Config) -> Config:
    """Put ``custom_data_root`` and ``custom_classes`` wherever a config repeats them.

    The first replaces ``data_root`` of every data set and its prefix in the evaluators'
    ``ann_file``; the second ``metainfo`` of every data set and ``num_classes`` of every head.
    Either may be None or absent. ``cfg`` is changed in place and returned.
    """
    root, classes = cfg.get('custom_data_root'), cfg.get('custom_classes')
    datasets = [leaf.dataset for key in _DATALOADERS if cfg.get(key)
                for leaf in leaf_datasets(cfg[key]['dataset'])]
    if root:
        root = osp.join(osp.expanduser(str(root)), '')
        old_roots = {dataset.get('data_root') for dataset in datasets} - {None, ''}
        for dataset in datasets:
            dataset.data_root = root
        for evaluator in _evaluators(cfg):
            for old in old_roots:
                if (evaluator.get('ann_file') or '').startswith(old):
                    evaluator.ann_file = root + evaluator.ann_file[len(old):]
                    break
        print_log(f'custom_data_root: {len(datasets)} data sets read {root}', logger='current')
    if classes not in (None, (), []):
        listed = classes if isinstance(classes, (list, tuple)) else [classes]
        classes = tuple(map(str, listed))  # a config may have read them as numbers
        for dataset in datasets:
            dataset.metainfo = dict(classes=classes)
        heads = _set_num_classes(cfg.model, len(classes))
        print_log(f'custom_classes: {classes} in {len(datasets)} data sets and {heads} heads',
                  logger='current')
    return cfg


def _evaluators(cfg: Config) -> list[ConfigDict]:
    return [leaf for key in _EVALUATORS for leaf in leaf_evaluators(cfg.get(key))]


def leaf_evaluators(node) -> list[ConfigDict]:
    """Configs of metrics, also of those in lists and within ``MultiDatasetsEvaluator``."""
    if isinstance(node, (list, tuple)):
        return [leaf for item in node for leaf in leaf_evaluators(item)]
    if not node:
        return []
    return leaf_evaluators(node['metrics']) if 'metrics' in node else [node]


def _set_num_classes(node, count: int) -> int:
    """Set ``num_classes`` of every head below ``node``; returns how many.

    Those that count something else stay: of a backbone (ImageNet's), of an RPN (objects or none),
    and of a semantic head (stuff).
    """
    if isinstance(node, (list, tuple)):
        return sum(_set_num_classes(item, count) for item in node)
    if not isinstance(node, dict):
        return 0
    changed = 0
    for key, value in node.items():
        if key == 'num_classes':
            node[key] = count
            changed += 1
        elif key not in _OTHER_CLASSES:
            changed += _set_num_classes(value, count)
    return changed
