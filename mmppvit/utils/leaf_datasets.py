"""Data sets below wrappers, built or as configs."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ['Leaf', 'leaf_datasets']


class Leaf(NamedTuple):
    """A data set that holds no other.

    ``dataset``: itself. ``mixer``: the innermost wrapper around it that has a pipeline of its own,
    such as ``MultiImageMixDataset``; None without.
    """
    dataset: Any
    mixer: Any = None


def leaf_datasets(dataset: Any) -> Iterator[Leaf]:
    """Data sets below ``ConcatDataset``, ``RepeatDataset``, ``MultiImageMixDataset`` and the like.

    Args:
        dataset (BaseDataset | dict): A data set, or the config of one.
    """
    yield from _below(dataset, None)


def _below(dataset: Any, mixer: Any) -> Iterator[Leaf]:
    parts = [*(_get(dataset, 'datasets') or ())]
    if _get(dataset, 'dataset') is not None:
        parts.append(_get(dataset, 'dataset'))
    if not parts:
        yield Leaf(dataset, mixer)
    if _get(dataset, 'pipeline'):
        mixer = dataset
    for part in parts:
        yield from _below(part, mixer)


def _get(dataset: Any, name: str) -> Any:
    return dataset.get(name) if isinstance(dataset, Mapping) else getattr(dataset, name, None)
