"""Names of a million images in the memory that their letters take."""
from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ['PackedNames', 'PackedSources', 'Source']


@dataclass(frozen=True, slots=True)
class Source:
    """One plain image.

    Args:
        name (str): Its file, below the folder.
        size (tuple, optional): (w, h) that its json gives.
        listed (str, optional): Its name in the json, where that is another.
    """
    name: str
    size: tuple[int, int] | None = None
    listed: str | None = None

    @property
    def in_json(self) -> str:
        """Its name in the json."""
        return self.name if self.listed is None else self.listed


class PackedNames(Sequence):
    """Strings, 8 bytes each beside their letters.

    Args:
        names (Iterable[str]): To begin with.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._text, self._ends = bytearray(), array('Q', [0])
        for name in names:
            self.append(name)

    def append(self, name: str) -> None:
        self._text += name.encode(errors='surrogatepass')
        self._ends.append(len(self._text))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        index = range(len(self))[index]
        return self._text[self._ends[index]:self._ends[index + 1]].decode(errors='surrogatepass')

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None


class PackedSources(Sequence):
    """Sources of a json, 16 bytes each beside the letters of their names.

    Args:
        sources (Iterable[Source]): All of them; each has a size.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sides, self._listed = array('I'), {}

        def names() -> Iterator[str]:
            for index, source in enumerate(sources):
                self._sides.extend(source.size)
                if source.listed is not None:
                    self._listed[index] = source.listed
                yield source.name

        self._names = PackedNames(names())

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Source:
        index = range(len(self))[index]
        return Source(self._names[index], tuple(self._sides[2 * index:2 * index + 2]),
                      self._listed.get(index))

    def names(self) -> Iterator[str]:
        """Of the files."""
        return iter(self._names)
