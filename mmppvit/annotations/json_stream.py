"""Large JSON files read piece by piece, so that neither text nor values are all in memory."""
from __future__ import annotations

import codecs
import json
import zlib
from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterable, Iterator
from typing import BinaryIO

import numpy as np

from mmppvit.annotations.json_text import decoder_of, without_twins

__all__ = ['PackedItems', 'editing', 'read_lists', 'repeated']

_CHUNK = 2**20  # bytes
_BLOCK = 256  # items
_LONGEST_TAIL = 16  # a number may go on: '1.' is read as 1, and what follows as an error
_SPACE = ' \t\n\r'


class PackedItems:
    """Values of JSON in little memory: compressed text that is read in order.

    A COCO annotation takes a tenth of what it takes as a dict.

    Args:
        items (Iterable): To begin with.
    """

    def __init__(self, items: Iterable = ()) -> None:
        self._blocks: list[bytes] = []
        self._last: list = []
        for item in items:
            self.append(item)

    def append(self, item: object) -> None:
        self._last.append(item)
        if len(self._last) == _BLOCK:
            self._blocks.append(zlib.compress(_text_of(self._last), 1))
            self._last = []

    def __len__(self) -> int:
        return len(self._blocks) * _BLOCK + len(self._last)

    def __iter__(self) -> Iterator:
        """Copies of all items."""
        for block in self._blocks:
            yield from json.loads(zlib.decompress(block))
        yield from json.loads(json.dumps(self._last))

    def editing(self) -> Iterator:
        """All items, to be changed in place before the next one is asked for."""
        for number, block in enumerate(self._blocks):
            text = zlib.decompress(block)
            items = json.loads(text)
            yield from items
            changed = _text_of(items)
            if changed != text:
                self._blocks[number] = zlib.compress(changed, 1)
        yield from self._last


def _text_of(items: list) -> bytes:
    return json.dumps(items, separators=(',', ':')).encode()


def editing(items: list | PackedItems) -> Iterator:
    """The items of a list, or of a packed one, to be changed in place."""
    return items.editing() if isinstance(items, PackedItems) else iter(items)


def repeated(values: Callable[[], Iterable[Hashable]]) -> dict[Hashable, int]:
    """Values that are there more than once, in order, and how often; the others are not kept.

    Args:
        values (Callable): Gives all of them; it is called twice.
    """
    hashes = np.sort(np.fromiter(map(hash, values()), np.int64))
    twice = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    counts = Counter(value for value in values() if hash(value) in twice) if twice else {}
    return {value: count for value, count in counts.items() if count > 1}


def read_lists(file: BinaryIO, keys: Container[str]) -> dict[str, object]:
    """What a JSON object holds, with its lists ``keys`` as :class:`PackedItems`.

    Args:
        file (BinaryIO): Where the text is read from, in any encoding of `parse_json`.
        keys (Container[str]): Names of the lists.

    Raises:
        ValueError, RecursionError: It is no object, or no JSON: `parse_json` says why.
    """
    text = _Text(file)
    text.expect('{')
    data: dict[str, object] = {}
    while text.next() != '}':
        if data:
            text.expect(',')
        key = text.value()
        text.expect(':')
        if not isinstance(key, str) or key in data:
            raise ValueError(f'{key!r:.80} is no key, or twice')
        data[key] = PackedItems(_items(text)) if key in keys and text.next() == '[' \
            else text.value()
    text.expect('}')
    if text.next():
        raise ValueError('there is more after the object')
    return data


def _items(text: _Text) -> Iterator:
    text.expect('[')
    for count in range(2**63):
        if text.next() == ']':
            break
        if count:
            text.expect(',')
        yield text.value()
    text.expect(']')


class _Text:
    """The part of a text that is being read."""

    def __init__(self, file: BinaryIO) -> None:
        first = file.read(_CHUNK)
        self._file = file
        self._decoder = codecs.getincrementaldecoder(decoder_of(first))()
        self._text, self._at, self._ended = self._decoder.decode(first), 0, not first
        self._scan = json.JSONDecoder(object_pairs_hook=without_twins).raw_decode

    def _more(self) -> bool:
        """Read on, in larger steps where a value is long; whether there was anything left."""
        if self._ended:
            return False
        rest = self._text[self._at:]
        chunk = self._file.read(max(_CHUNK, len(rest)))
        self._ended = not chunk
        self._text, self._at = rest + self._decoder.decode(chunk, final=self._ended), 0
        return True

    def next(self) -> str:
        """The next character that is no space, which stays; '' at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ''

    def expect(self, character: str) -> None:
        """Go past ``character``."""
        if self.next() != character:
            raise ValueError(f'{character} is missing')
        self._at += 1

    def value(self) -> object:
        """The next value."""
        self.next()
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except json.JSONDecodeError:  # perhaps cut off here
                if not self._more():
                    raise
                continue
            if len(self._text) - end >= _LONGEST_TAIL or not self._more():
                self._at = end
                return value
