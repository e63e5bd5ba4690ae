"""What became of every tensor of a checkpoint, and of every tensor of its target."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rich.table import Table

__all__ = ['LoadReport']

_SHOWN = 3


@dataclass
class LoadReport:
    """The fate of every tensor.

    ``copied``, ``adapted``, ``dropped`` and ``unexpected`` are names of the source, one of them
    each; ``initialized`` and ``missing`` are names of the target.

    Args:
        copied: As it is, maybe under another name.
        adapted: Changed, and how.
        dropped: Without a place in the target, and why that is right.
        initialized: Not from the source, and why that is right.
        missing: In the target, and should have been in the source.
        unexpected: In the source, and what is wrong with it.
        renamed: The target's names of those copied and adapted, where they differ.
        config: Arguments of the module that has the target's tensors, as far as they are known.
    """
    copied: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    initialized: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    config: dict = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing or unexpected."""
        return not (self.missing or self.unexpected)

    @property
    def problems(self) -> list[str]:
        """What is missing and unexpected, one line a tensor."""
        return [*self.missing, *(f'{name} {what}' for name, what in self.unexpected.items())]

    def sources(self) -> list[str]:
        """Every tensor of the source, sorted."""
        return sorted([*self.copied, *self.adapted, *self.dropped, *self.unexpected])

    def targets(self) -> list[str]:
        """Every tensor of the target that has an origin, sorted."""
        taken = [self.renamed.get(name, name) for name in (*self.copied, *self.adapted)]
        return sorted(set(taken) | set(self.initialized))

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Fate, tensors and remark; what is in order is grouped by the remark."""
        if self.copied:
            yield 'copied', f'{len(self.copied)} tensors', ''
        for fate, why in (('adapted', self.adapted), ('dropped', self.dropped),
                          ('left at init', self.initialized)):
            for remark, names in _by_remark(why).items():
                yield fate, _shortened(names), remark
        for name in self.missing:
            yield 'missing', name, ''
        for name, what in self.unexpected.items():
            yield 'unexpected', name, what

    def __str__(self) -> str:
        return '\n'.join(f'  {fate:<13}{names}' + (f': {remark}' if remark else '')
                         for fate, names, remark in self.rows())

    def table(self) -> Table:
        """For a terminal."""
        table = Table('', 'tensors', 'how, or why')
        for row in self.rows():
            table.add_row(*row)
        return table


def _by_remark(why: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, remark in why.items():
        groups.setdefault(remark, []).append(name)
    return groups


def _shortened(names: list[str]) -> str:
    # One name more costs no more than the words "1 more".
    shown = names if len(names) <= _SHOWN + 1 else names[:_SHOWN]
    return ', '.join(shown) + (f' and {len(names) - _SHOWN} more' if shown is not names else '')
