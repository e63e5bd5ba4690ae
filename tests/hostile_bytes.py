"""Valid files bent at random, for fuzzers of parsers."""
from __future__ import annotations

import copy
import json
import random
import struct
import zlib

__all__ = ['bent_json', 'mutated', 'png_claiming']

PIECES = [b'', b'null', b'-1', b'1e999', b'NaN', b'[]', b'{}', b'""', b'9' * 400, b'\x00', b'\xff',
          b'../../x', b'\x1b[2J', b'[' * 2000, b'true', b'"\\ud800"', b'1.5', b'4', b'images/']
VALUES = [None, True, False, 0, 1, -1, 2, 3, 16, 2**31, 2**53, 2**64, 10**400, .5, -.0, 1e308, '',
          'x', '0', 'a' * 32, '0' * 64, '../x', '/etc/passwd', '\x1b[2J', '\ud800', 'images/a.png',
          'float32', 'AdamW', [], {}, [[]], [None], [0], [1, 2], [1e9] * 4, {'x': 1},
          {'type': 'os.system', 'command': 'true'}, [{'type': 'os.system'}], ['a', 'a']]
NAMES = ['type', '_delete_', '_base_', '_scope_', 'custom_imports', 'custom_hooks', 'init_cfg',
         'batch_augments', 'x', '', '\x00', 'id', '__class__']


def mutated(content: bytes, rng: random.Random) -> bytes:
    """``content`` with one to four of: a bit flipped, a piece exchanged, doubled or cut out."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(content) + 1)
        to = min(len(content), at + rng.choice((0, 1, 2, 8, 64)))
        kind = rng.randrange(4)
        if kind == 0 and at < len(content):
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[at:to] = rng.choice(PIECES)
        elif kind == 2:
            content[at:at] = content[at:to]
        else:
            del content[at:to]
    return bytes(content)


def bent_json(data: object, rng: random.Random) -> object:
    """A copy of what JSON holds, with one or two values exchanged, left out, doubled or added."""
    data = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 2))):
        holders = [node for node in _nodes(data) if isinstance(node, (dict, list)) and node]
        if not holders:
            return rng.choice(VALUES)
        node = rng.choice(holders)
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        way = rng.randrange(5)
        if way == 0:
            del node[key]
        elif way == 1 and isinstance(node, dict):
            node[rng.choice(NAMES)] = copy.deepcopy(rng.choice(VALUES))
        elif way == 1:
            node.append(copy.deepcopy(node[key]))
        elif way == 2:  # another value of the same file, at the wrong place
            node[key] = copy.deepcopy(rng.choice(list(_nodes(data))))
        else:
            node[key] = copy.deepcopy(rng.choice(VALUES))
    return data


def dumped(data: object) -> bytes:
    """JSON, with NaN and numbers of any length, as a hostile party may write it."""
    return json.dumps(data).encode()


def _nodes(data: object) -> list:
    """``data`` and everything in it, at most some hundred."""
    found, place = [data], 0
    while place < len(found) and len(found) < 400:
        node = found[place]
        if isinstance(node, (dict, list)):
            found.extend(node.values() if isinstance(node, dict) else node)
        place += 1
    return found


def png_claiming(side: int) -> bytes:
    """A PNG of a few bytes that says it has ``side`` x ``side`` pixels."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack('>I', len(content)) + kind + content + struct.pack(
            '>I', zlib.crc32(kind + content))

    head = struct.pack('>II5B', side, side, 8, 2, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(
        b'IDAT', zlib.compress(bytes(2**20))) + chunk(b'IEND', b'')
