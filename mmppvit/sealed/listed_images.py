"""The entries of a manifest that is not packed, for who reads them in order: in little memory."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from mmppvit.annotations.json_stream import PackedItems, repeated
from mmppvit.sealed.entries import SealedImage, expect

__all__ = ['ListedImages']


class ListedImages(Sequence):
    """Images that are kept as compressed text, a fifth of what the objects take.

    Each is parsed when it is asked for. One by its number means to read all before it.

    Args:
        items (PackedItems): What the manifest says of them.
        parse (Callable): Makes a :class:`SealedImage` of it.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: One makes no sense, or a file is there
            twice.
    """

    def __init__(self, items: PackedItems, parse: Callable[[object], SealedImage]) -> None:
        self._items, self._parse = items, parse
        hashes = np.fromiter((hash(image.file) for image in self), np.int64, len(items))
        alike = len(np.unique(hashes)) < len(hashes)
        expect(not alike or not repeated(lambda: (image.file for image in self)),
               'a file is listed twice')

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[SealedImage]:
        return map(self._parse, self._items)

    def __getitem__(self, index):
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return next(islice(self, numbers, None))
        wanted = set(numbers)
        found = {i: image for i, image in enumerate(self) if i in wanted}
        return [found[i] for i in numbers]
