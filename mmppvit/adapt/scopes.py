"""Configs of other projects, whose registries have a scope of their own, as MMYOLO's do."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmppvit.adapt.config_changes import ConfigChanges, walk_dicts

__all__ = ['class_of', 'name_our_scope', 'scope_of']

OWN = 'mmdet'
_TYPE_FIELDS = ('type', 'constructor')


@contextmanager
def scope_of(cfg: Config) -> Iterator[str]:
    """For as long as the block runs, names are looked up as a runner of ``cfg`` would."""
    scope = cfg.get('default_scope') or OWN
    with DefaultScope.overwrite_default_scope(scope):
        yield scope


def class_of(kind) -> type | None:
    """The class of a model or of a part of one that a config names; None if there is none."""
    if not isinstance(kind, str):
        return kind if isinstance(kind, type) else None
    for registry in (MODELS, TASK_UTILS):
        found = _get(registry, kind)
        if isinstance(found, type):
            return found
    return None


def _get(registry: Registry, kind: str):
    with registry.switch_scope_and_registry(None) as chosen:
        return chosen.get(kind)


def name_our_scope(changes: ConfigChanges, scope: str) -> None:
    """Write ``mmdet.`` before what was added, where the config has another scope.

    Whether its registries have MMDetection's as a parent or MMEngine's, the full name is found.
    """
    if scope == OWN:
        return
    stock = {node[field] for _, node in walk_dicts(changes.stock) for field in _TYPE_FIELDS
             if isinstance(node.get(field), str)}
    for _, node in list(walk_dicts(changes.cfg)):
        for field in _TYPE_FIELDS:
            name = node.get(field)
            if isinstance(name, str) and '.' not in name and name not in stock:
                node[field] = f'{OWN}.{name}'
