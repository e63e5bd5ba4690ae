"""``--cfg-options``: parsed, and keys that nothing would read refused."""
from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Iterable, Sequence

import mmdet.registry
from mmengine.config import Config, DictAction
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

__all__ = ['override_config', 'parse_overrides']

# Top-level keys that MMEngine's Runner, MMDetection's tools and this project read, beside those
# that a config has.
KNOWN = {*inspect.signature(Runner.__init__).parameters, 'default_scope', 'custom_imports',
         'auto_scale_lr', 'tta_model', 'tta_pipeline', 'runner_type', 'env_cfg', 'load_from',
         'custom_data_root', 'custom_classes', 'backend_args'} - {'self'}
OF_DATALOADERS = {*inspect.signature(DataLoader.__init__).parameters, 'num_batch_per_epoch',
                  'dataset', 'sampler', 'collate_fn'} - {'self'}
OF_EVERY_DICT = {'type', '_delete_', '_scope_', '_from_timm_'}
# Dicts that are not built from their type alone.
OF_WRAPPERS = {'constructor', 'paramwise_cfg', 'optimizer'}
# Of difflib: a key this close to one that is there is a slip; and close enough for a hint.
ALIKE, HINT = .8, .6


def parse_overrides(options: Iterable[str], name: str = '--cfg-options') -> dict:
    """'KEY=VALUE' each -> values by key, read as MMEngine's ``DictAction`` does.

    Args:
        options (Iterable[str]): They.
        name (str): Of the option that they are given to, for errors.

    Raises:
        ValueError: No '=' in one of them, or brackets that do not close.
    """
    found = {}
    for option in options:
        key, equals, value = option.partition('=')
        if not equals or not key:
            raise ValueError(f'{name} {option}: write KEY=VALUE, without spaces around =')
        try:
            found[key] = _parse_value(key, value)
        except AssertionError as err:
            raise ValueError(f'{name} {option}: {err}') from None
    return found


def _parse_value(key: str, value: str) -> object:
    """As ``DictAction`` does, which takes blanks out of everything, but names and paths keep them.
    """
    if key == 'custom_data_root':
        return value
    if key == 'custom_classes' and value != 'None':
        return _class_names(value)
    if ' ' in value and not set(value) & set('[](),'):
        return value.strip().strip('\'"')
    return DictAction._parse_iterable(value)


def _class_names(value: str) -> list[str]:
    """'red cell,white cell', '1' or "['cell, red']" -> names, which are strings whatever they say.
    """
    value = value.strip()
    if value.startswith(('[', '(')):
        try:
            names = ast.literal_eval(value)
        except (ValueError, SyntaxError):  # [red cell, white cell]: without quotes
            names = None
        if isinstance(names, (list, tuple)):
            return [str(name) for name in names]
        value = value[1:-1]  # (red cell) and ('red cell') are one name, not a tuple
    return [name.strip().strip('\'"') for name in value.split(',') if name.strip()]


def override_config(cfg: Config, overrides: dict) -> None:
    """Merge overrides into ``cfg``, in place.

    Args:
        cfg (Config): A config.
        overrides (dict): Values by dotted key.

    Raises:
        ValueError: A key leads nowhere: the class that would be built has no such argument, a list
            is shorter, a section is missing; or it is a slip of a key that is there.
    """
    for key in overrides:
        _check_key(cfg._cfg_dict, key.split('.'), key)
    try:
        cfg.merge_from_dict(overrides)
    except (KeyError, TypeError) as err:
        raise ValueError(f'--cfg-options {" ".join(overrides)}: {err.args[0]}') from None


def _check_key(node: object, parts: Sequence[str], key: str, parent: str = '') -> None:
    """Walk down ``parts`` as far as the config goes; the first new part must have a reader."""
    for depth, part in enumerate(parts):
        if isinstance(node, (list, tuple)):
            if not (part.isdecimal() and int(part) < len(node)):
                raise ValueError(f'--cfg-options {key}: {".".join(parts[:depth])} is a list of '
                                 f'{len(node)}, and {part} is not one of its indices')
            node = node[int(part)]
        elif isinstance(node, dict):
            if part not in node:
                _check_new(node, part, parent, key, '.'.join(parts[:depth]))
                return
            node, parent = node[part], part
        elif depth and node is not None:
            raise ValueError(f'--cfg-options {key}: {".".join(parts[:depth])} is {node!r}, which '
                             'has no keys')
        else:
            return


def _check_new(node: dict, part: str, parent: str, key: str, where: str) -> None:
    readers = _arguments(node, parent)
    if part in OF_EVERY_DICT or (readers is not None and part in readers):
        return
    close = difflib.get_close_matches(part, {*node, *(readers or ())}, 1,
                                      ALIKE if readers is None else HINT)
    if readers is None and not close:
        return  # a dict that anything may be put into
    hint = f'did you mean {".".join(filter(None, (where, close[0])))}?' if close else \
        f'choose from {", ".join(sorted({*node, *readers} - {"type"}))}'
    raise ValueError(f'--cfg-options {key}: there is no {".".join(filter(None, (where, part)))}; '
                     f'{hint}')


def _arguments(node: dict, parent: str) -> set[str] | None:
    """Keys that what is built from ``node`` takes; None if any."""
    if not parent:
        return KNOWN
    if parent.endswith('_dataloader'):
        return OF_DATALOADERS
    kind = _find_type(node.get('type'))
    if kind is None:
        return None
    names: set[str] = set(OF_WRAPPERS) if parent == 'optim_wrapper' else set()
    for each in inspect.getmro(kind) if inspect.isclass(kind) else [kind]:
        function = vars(each).get('__init__') if inspect.isclass(kind) else each
        if function is None or each is object:
            continue
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            return None
        names |= {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names - {'self'}
    return None  # keywords are handed to something that is not known here


def _find_type(name: object) -> object:
    """Class or function that a registry of MMDetection's builds for ``name``."""
    if not isinstance(name, str):
        return name
    for registry in vars(mmdet.registry).values():
        if isinstance(registry, Registry):
            kind = registry.get(name)
            if kind is not None:
                return kind
    return None
