"""Hash trees (RFC 6962): one signed root authenticates a million lines, each of them alone."""
from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

__all__ = ['build_tree', 'leaf_hash', 'level_sizes', 'proof_of', 'root_from']

HASH = 32


def leaf_hash(line: bytes) -> bytes:
    """32 bytes; never equal to the hash of a node."""
    return hashlib.sha256(b'\0' + line).digest()


def level_sizes(count: int) -> list[int]:
    """Hashes in each level, from the ``count`` leaves up to the root."""
    sizes = [count]
    while sizes[-1] > 1:
        sizes.append((sizes[-1] + 1) // 2)
    return sizes


def build_tree(leaves: Iterable[bytes]) -> bytes:
    """All levels, one after the other; the last 32 bytes are the root.

    The last hash of a level without a partner goes up as it is.

    Raises:
        ValueError: There are no leaves.
    """
    level = b''.join(leaves)
    if not level:
        raise ValueError('a tree without leaves has no root')
    levels = [level]
    while len(level) > HASH:
        pairs = [level[i:i + 2 * HASH] for i in range(0, len(level), 2 * HASH)]
        level = b''.join(hashlib.sha256(b'\1' + pair).digest() if len(pair) > HASH else pair
                         for pair in pairs)
        levels.append(level)
    return b''.join(levels)


def proof_of(index: int, count: int) -> list[int]:
    """Which hashes of `build_tree`'s lead from leaf ``index`` of ``count`` to the root."""
    numbers, start = [], 0
    for size in level_sizes(count)[:-1]:
        if index ^ 1 < size:
            numbers.append(start + (index ^ 1))
        index, start = index // 2, start + size
    return numbers


def root_from(leaf: bytes, index: int, count: int, proof: Sequence[bytes]) -> bytes:
    """The root that follows for ``leaf`` at ``index`` of ``count``.

    Args:
        leaf (bytes): From `leaf_hash`.
        index (int): Of the leaf.
        count (int): Of all leaves.
        proof (Sequence[bytes]): The hashes that `proof_of` names; they are not trusted.
    """
    node, others = leaf, iter(proof)
    for size in level_sizes(count)[:-1]:
        if index ^ 1 < size:
            pair = (next(others), node) if index & 1 else (node, next(others))
            node = hashlib.sha256(b'\1' + b''.join(pair)).digest()
        index //= 2
    return node
