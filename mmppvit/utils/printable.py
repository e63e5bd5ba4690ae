"""Text that comes from elsewhere, made safe for a terminal."""
from __future__ import annotations

import unicodedata

__all__ = ['printable']

# Control characters, formats (which turn the direction of writing), bytes that are no UTF-8, and
# characters that nobody has assigned; separators but the space, as lines and paragraphs are.
_UNSAFE = {'Cc', 'Cf', 'Cs', 'Co', 'Cn', 'Zl', 'Zp'}


def printable(text: object) -> str:
    r"""``text`` on one line, with ``\x1b`` and the like in place of what a terminal obeys.

    File names and messages about them may hold escape sequences, newlines that imitate other
    lines of output, and marks that reverse the direction of writing.
    """
    return ''.join(_escape(char) if unicodedata.category(char) in _UNSAFE else char
                   for char in str(text))


def _escape(char: str) -> str:
    code = ord(char)
    return f'\\x{code:02x}' if code < 256 else f'\\u{code:04x}' if code < 65536 else \
        f'\\U{code:08x}'
