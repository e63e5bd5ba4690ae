"""Entries of a packed data set: a line each, a hash tree over the lines, and an index by name.

Nothing but the root of the tree is signed. A line that is looked up is hashed and followed up to
the root, so that a data set of a million images opens at once and every image is checked alone;
index and tree need not be trusted.
"""
from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from mmppvit.sealed.entries import ManifestError, SealedImage, expect
from mmppvit.sealed.image_files import path_within
from mmppvit.sealed.json_numbers import parse_json
from mmppvit.sealed.merkle import HASH, build_tree, leaf_hash, level_sizes, proof_of, root_from
from mmppvit.utils.atomic import write_atomic
from mmppvit.utils.regular_files import open_regular, read_parts
from mmppvit.utils.remote_files import RemotePath

__all__ = ['ENTRIES', 'ENTRY_INDEX', 'ENTRY_TREE', 'ByFile', 'EntryFile', 'Place', 'entry_line',
           'tree_size', 'write_index']

ENTRIES, ENTRY_TREE, ENTRY_INDEX = 'entries.jsonl', 'entries.tree', 'entries.index'
_MOST_OF_A_LINE = 2**16
_MOST_ALIKE = 8  # 64 bits of a hash are hardly ever shared


@dataclass(frozen=True)
class Place:
    """Where an image lies: the number of its shard, and the offset of its content there."""
    shard: int
    offset: int


def write_index(root: Path | RemotePath, names: Sequence[str], lengths: Sequence[int],
                leaves: bytes) -> str:
    """Write tree and index of the lines that were written; the root of the tree, in hex.

    Args:
        root (Path | RemotePath): Folder of the data set.
        names (Sequence[str]): The file that each line is about.
        lengths (Sequence[int]): Bytes of each line with its end.
        leaves (bytes): Hashes of the lines.
    """
    keys = np.fromiter(map(_key, names), '<u8', len(names))
    order = np.argsort(keys, kind='stable')
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype('<u8')
    write_atomic(root / ENTRY_INDEX, keys[order].tobytes() + order.astype('<u4').tobytes()
                 + starts.tobytes(), sync=True)
    tree = build_tree([leaves])
    write_atomic(root / ENTRY_TREE, tree, sync=True)
    return tree[-HASH:].hex()


def _key(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], 'little')


class EntryFile(Sequence):
    """The images of a packed data set, read from its files when they are asked for.

    Args:
        root (Path | RemotePath): Folder of the data set.
        count (int): Number of images, as signed.
        tree_root (str): Root of the tree, in hex, as signed.
        parse (Callable): Makes a :class:`SealedImage` of what a line says.
    """

    def __init__(self, root: Path | RemotePath, count: int, tree_root: str,
                 parse: Callable[[object], SealedImage]) -> None:
        self.root, self._count, self._tree_root = root, count, bytes.fromhex(tree_root)
        self._parse = parse
        self._fetched: dict[str, bytes] = {}
        self._last: tuple[str, tuple[SealedImage, Place]] | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        index = range(self._count)[index]
        return self._checked(index)[0]

    def __iter__(self) -> Iterator[SealedImage]:
        """All of them, in order and in little memory; the file is read twice.

        Raises:
            ManifestError: The lines are not those that were signed.
        """
        return (image for image, _ in self.places())

    def places(self) -> Iterator[tuple[SealedImage, Place]]:
        """All images and where they lie, as `__iter__`."""
        hashes = b''.join(leaf_hash(line) for line in self._lines())
        if len(hashes) != self._count * HASH or build_tree([hashes])[-HASH:] != self._tree_root:
            raise self._edited()
        for index, line in enumerate(self._lines()):
            if leaf_hash(line) != hashes[index * HASH:(index + 1) * HASH]:
                raise self._edited()  # changed since
            yield self._parsed(line)

    def find(self, file: str) -> tuple[SealedImage, Place] | None:
        """The image that lies at ``file``, and where; None if there is none.

        Raises:
            ManifestError: What is there was not signed.
        """
        last = self._last  # an image is asked for several times in a row
        if last is not None and last[0] == file:
            return last[1]
        keys, order, _ = self._index
        key = np.uint64(_key(file))
        first, end = (int(np.searchsorted(keys, key, side)) for side in ('left', 'right'))
        if end - first > _MOST_ALIKE:
            raise self._edited(ENTRY_INDEX)
        for position in range(first, end):
            found = self._checked(int(order[position]))
            if found[0].file == file:
                self._last = file, found
                return found
        return None

    def _checked(self, index: int) -> tuple[SealedImage, Place]:
        starts = self._index[2]
        if not 0 <= index < self._count:
            raise self._edited()
        start, end = int(starts[index]), int(starts[index + 1])
        if not 0 < end - start <= _MOST_OF_A_LINE:
            raise self._edited()
        line, = self._read(ENTRIES, [(start, end - start)])
        line = line.removesuffix(b'\n')
        proof = self._read(ENTRY_TREE, [(number * HASH, HASH)
                                        for number in proof_of(index, self._count)])
        if root_from(leaf_hash(line), index, self._count, proof) != self._tree_root:
            raise self._edited()
        return self._parsed(line)

    def _parsed(self, line: bytes) -> tuple[SealedImage, Place]:
        try:
            shard, offset, item = parse_json(line)
            expect(type(shard) is int and type(offset) is int and min(shard, offset) >= 0,
                   'no place in a shard')
            return self._parse(item), Place(shard, offset)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError,
                RecursionError) as err:  # it was signed so
            raise ManifestError(f'{self.root / ENTRIES} is not valid: {" ".join(str(err).split())}'
                                ) from None

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        count = self._count
        size = 8 * count + 4 * count + 8 * (count + 1)
        content, = self._read(ENTRY_INDEX, [(0, size + 1)])
        if len(content) != size:
            raise self._edited(ENTRY_INDEX)
        return (np.frombuffer(content, '<u8', count),
                np.frombuffer(content, '<u4', count, 8 * count),
                np.frombuffer(content, '<u8', count + 1, 12 * count))

    def fetch(self) -> None:
        """Of a store: read the three files, 0.4 KB an image, rather than parts of them each time.
        """
        if isinstance(self.root, RemotePath) and not self._fetched:
            try:
                self._fetched = {file: (self.root / file).read()
                                 for file in (ENTRIES, ENTRY_INDEX, ENTRY_TREE)}
            except OSError as err:
                raise ManifestError(f'{err.filename or self.root} cannot be read '
                                    f'({err.strerror or err}): restore it') from None

    def _read(self, file: str, parts: list[tuple[int, int]]) -> list[bytes]:
        self.fetch()
        if file in self._fetched:
            return [self._fetched[file][start:start + length] for start, length in parts]
        try:
            return read_parts(path_within(self.root, file), parts)
        except OSError as err:
            raise ManifestError(f'{self.root / file} cannot be read ({err.strerror or err}): '
                                'restore it') from None

    def _lines(self) -> Iterator[bytes]:
        self.fetch()
        try:
            with io.BytesIO(self._fetched[ENTRIES]) if self._fetched else \
                    open_regular(path_within(self.root, ENTRIES)) as file:
                for _ in range(self._count + 1):  # one more is found; a million are not kept
                    if not (line := file.readline(_MOST_OF_A_LINE)):
                        return
                    yield line.removesuffix(b'\n')
        except OSError as err:
            raise ManifestError(f'{self.root / ENTRIES} cannot be read ({err.strerror or err}): '
                                'restore it') from None

    def _edited(self, file: str = ENTRIES) -> ManifestError:
        return ManifestError(f'{self.root / file} was edited or damaged: it does not fit the '
                             'signed root. Restore it, or pack again')


class ByFile(Mapping):
    """Images of an :class:`EntryFile` by their names."""

    def __init__(self, entries: EntryFile) -> None:
        self._entries = entries

    def __getitem__(self, file: str) -> SealedImage:
        found = self._entries.find(file)
        if found is None:
            raise KeyError(file)
        return found[0]

    def __contains__(self, file: object) -> bool:
        return isinstance(file, str) and self._entries.find(file) is not None

    def __iter__(self) -> Iterator[str]:
        return (image.file for image in self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def entry_line(place: Place, item: dict) -> bytes:
    """One line of the file, without its end."""
    return json.dumps([place.shard, place.offset, item], sort_keys=True,
                      separators=(',', ':')).encode()


def tree_size(count: int) -> int:
    """Bytes of the tree over ``count`` lines."""
    return HASH * sum(level_sizes(count))
