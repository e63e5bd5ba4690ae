"""What a check found: how often, where first, and what became of it."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ['CheckReport', 'Finding']

REFUSED, CORRECTED, NOTED = 'refused', 'corrected', 'noted'
_SHOWN = 100  # characters of a value


@dataclass
class Finding:
    """One kind of fault.

    Args:
        action (str): 'refused' (the file cannot be used), 'corrected' (it is used as corrected) or
            'noted' (it is used as it is).
        what (str): The fault, and the remedy or what was done.
        count (int): How often it was found.
        first (str): The first place, e.g. ``annotation 7: bbox is [nan, 0, 1, 1]``.
    """
    action: str
    what: str
    count: int = 0
    first: str = ''

    def __str__(self) -> str:
        return f'{self.count} x {self.what} (first: {self.first})'


@dataclass
class CheckReport:
    """All findings in one file, in the order refused, corrected, noted.

    Args:
        name (str): The file, for messages.
        counts (dict): Number of images, annotations and categories in it.
    """
    name: str
    counts: dict[str, int] = field(default_factory=dict)
    _found: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def refuse(self, what: str, first: str) -> None:
        """Note a fault that makes the file unusable."""
        self._add(REFUSED, what, first)

    def correct(self, what: str, first: str) -> None:
        """Note a fault that was corrected."""
        self._add(CORRECTED, what, first)

    def note(self, what: str, first: str) -> None:
        """Note what MMDetection or pycocotools pass over in silence."""
        self._add(NOTED, what, first)

    def _add(self, action: str, what: str, first: str) -> None:
        finding = self._found.get((action, what))
        if finding is None:
            finding = self._found[action, what] = Finding(action, what, 0, first)
        finding.count += 1

    @property
    def findings(self) -> list[Finding]:
        """All of them, the worst first."""
        order = (REFUSED, CORRECTED, NOTED)
        return sorted(self._found.values(), key=lambda finding: order.index(finding.action))

    @property
    def refused(self) -> bool:
        """Whether the file cannot be used."""
        return any(action == REFUSED for action, _ in self._found)

    def of(self, *actions: str) -> Iterator[Finding]:
        """Findings of these actions."""
        return (finding for finding in self.findings if finding.action in actions)

    def error(self) -> str:
        """Everything that was refused, in one line."""
        reasons = '; '.join(map(str, self.of(REFUSED)))
        return f'{self.name} cannot be used: {reasons}'

    def remarks(self) -> str:
        """Everything that was corrected or noted, in one line; empty if nothing was."""
        said = [f'{finding.action} {finding}' for finding in self.of(CORRECTED, NOTED)]
        return f'{self.name}: {"; ".join(said)}' if said else ''

    def lines(self) -> list[str]:
        """The whole report, one line a finding."""
        counts = ', '.join(f'{count} {kind}' for kind, count in self.counts.items())
        verdict = 'cannot be used' if self.refused else 'can be used'
        return [f'{self.name}: {counts + "; " if counts else ""}{verdict}',
                *(f'  {finding.action:9s} {finding}' for finding in self.findings)]


def shown(value: object) -> str:
    """A value for a message: on one line, and no longer than a line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python writes, a deep list
        text = f'a {type(value).__name__}'
    return text if len(text) <= _SHOWN else text[:_SHOWN - 3] + '...'
