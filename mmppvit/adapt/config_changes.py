"""A config that is being changed, with the reason for every change."""
from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

__all__ = ['CannotAdapt', 'ConfigChanges', 'Path', 'get_at', 'walk_dicts']

Path = tuple  # of keys and list indices


class CannotAdapt(ValueError):  # noqa: N818  reads as what it says
    """A config that has no encrypted counterpart; the message says why and what to do by hand."""


class ConfigChanges:
    """A plain copy of a config with what was changed in it.

    Args:
        cfg (dict): The stock config as plain dicts, lists and tuples; it is not changed.

    Attributes:
        cfg (dict): The copy that the changes are made to.
        reasons (dict[Path, str]): Why the value at a path was set, for the comments of a child
            config.
        notes (list[str]): What its user should know, e.g. an augmentation that was replaced.
    """

    def __init__(self, cfg: dict) -> None:
        self.stock = cfg
        self.cfg = deepcopy(cfg)
        self.reasons: dict[Path, str] = {}
        self.notes: list[str] = []

    def set(self, path: Path, value: Any, why: str = '') -> None:
        """Set the value at ``path``, whose parent exists; ``why`` becomes a comment."""
        get_at(self.cfg, path[:-1])[path[-1]] = value
        if why:
            self.reasons[path] = why

    def get(self, path: Path, default: Any = None) -> Any:
        """The value at ``path``, ``default`` if a part of it is missing."""
        try:
            return get_at(self.cfg, path)
        except (KeyError, IndexError, TypeError):
            return default

    def note(self, text: str) -> None:
        """Remember something for the user, once."""
        if text not in self.notes:
            self.notes.append(text)


def get_at(node: Any, path: Path) -> Any:
    """``node[path[0]][path[1]]...``"""
    for key in path:
        node = node[key]
    return node


def walk_dicts(node: Any, path: Path = (), skip: tuple[str, ...] = ()) -> Iterator[tuple]:
    """(path, dict) for every dict in ``node``, itself included, parents first.

    Args:
        node (Any): Dicts, lists and tuples.
        path (Path): Where ``node`` is.
        skip (tuple[str]): Keys that are not followed.
    """
    if isinstance(node, dict):
        yield path, node
        for key in list(node):
            if key not in skip:
                yield from walk_dicts(node[key], (*path, key), skip)
    elif isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            yield from walk_dicts(item, (*path, index), skip)
