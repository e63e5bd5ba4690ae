"""Python source of configs: values as ``dict(...)``, within 100 columns, with comments."""
from __future__ import annotations

import keyword
import textwrap
from dataclasses import dataclass
from typing import Any

__all__ = ['Call', 'Items', 'Node', 'Text', 'as_node', 'is_name', 'render']

WIDTH, INDENT = 100, 4
SHORT = 16  # items up to this length share lines


@dataclass
class Text:
    """Source that is not broken into lines."""
    text: str


@dataclass
class Items:
    """A list, tuple or set display."""
    brackets: str
    items: list[Node]


@dataclass
class Call:
    """``dict(first, key=value, ...)``; each key may have a comment."""
    items: list[tuple[str, Node, str]]
    first: str = ''


Node = Text | Items | Call


def is_name(key: Any) -> bool:
    """Whether ``key`` can be written as a keyword or attribute."""
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)


def as_node(value: Any, names: dict[str, str]) -> Node:
    """Source of a value; ``names`` has variables for values, by their repr."""
    if repr(value) in names:
        return Text(names[repr(value)])
    if isinstance(value, dict):
        if all(is_name(key) for key in value):
            return Call([(key, as_node(item, names), '') for key, item in value.items()])
        return Items('{}', [Text(f'{key!r}: {render(as_node(item, names), 0, 10**9)}')
                            for key, item in value.items()])
    if isinstance(value, (list, tuple)):
        items = [as_node(item, names) for item in value]
        return Items('[]' if isinstance(value, list) else '()', items)
    return Text(repr(value))


def render(node: Node, column: int = 0, width: int = WIDTH, indent: int = 0,
           tail: int = 0) -> str:
    """Source of ``node``.

    Args:
        node (Node): What to write.
        column (int): Where it starts.
        width (int): Columns of a line.
        indent (int): Of the line that it starts in.
        tail (int): Commas and brackets that follow on its last line.
    """
    line = _one_line(node)
    if line is not None and column + len(line) + tail <= width:
        return line
    if isinstance(node, Text):
        return node.text
    pad = ' ' * (indent + INDENT)
    if isinstance(node, Items):
        opening, closing = node.brackets
        comma = ',' if node.brackets == '()' and len(node.items) == 1 else ''
        rows = _short_items(node, pad, width)
        entries = [('', '', item) for item in node.items] if rows is None else []
    else:
        opening, closing, comma = 'dict(', ')', ''
        entries = [(comment, f'{key}=', value) for key, value, comment in node.items]
        entries = [('', '', Text(node.first)), *entries] if node.first else entries
        rows = None
    if rows is None:
        rows = []
        for place, (comment, start, value) in enumerate(entries):
            after = 1 if place < len(entries) - 1 else tail + len(closing + comma)
            rows.append(_wrapped(comment, pad, width) + pad + start + render(
                value, len(pad + start), width, len(pad), after))
    return opening + '\n' + ',\n'.join(rows) + comma + closing


def _short_items(node: Items, pad: str, width: int) -> list[str] | None:
    """Items that share lines, if all of them are short."""
    short = [_one_line(item) for item in node.items]
    if any(text is None or len(text) > SHORT for text in short):
        return None
    return [textwrap.fill(', '.join(short), width - 2, initial_indent=pad,
                          subsequent_indent=pad, break_long_words=False)]


def _wrapped(comment: str, pad: str, width: int) -> str:
    return ''.join(f'{pad}# {line}\n' for line in textwrap.wrap(comment, width - len(pad) - 2))


def _one_line(node: Node) -> str | None:
    """Source on one line; None if a comment is in it."""
    if isinstance(node, Text):
        return node.text
    if isinstance(node, Items):
        parts = [_one_line(item) for item in node.items]
        if None in parts:
            return None
        comma = ',' if node.brackets == '()' and len(parts) == 1 else ''
        return node.brackets[0] + ', '.join(parts) + comma + node.brackets[1]
    parts = [node.first] if node.first else []
    for key, value, comment in node.items:
        text = _one_line(value)
        if comment or text is None:
            return None
        parts.append(f'{key}={text}')
    return f'dict({", ".join(parts)})'
