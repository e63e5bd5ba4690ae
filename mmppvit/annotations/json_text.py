"""JSON in the encodings that editors and shells write."""
from __future__ import annotations

import codecs
import json

__all__ = ['decoder_of', 'parse_json', 'without_twins']

_MARKS = [  # the longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, 'utf-8-sig'),
    (codecs.BOM_UTF32_LE, 'utf-32'), (codecs.BOM_UTF32_BE, 'utf-32'),
    (codecs.BOM_UTF16_LE, 'utf-16'), (codecs.BOM_UTF16_BE, 'utf-16')]


def parse_json(content: bytes) -> object:
    """What a JSON text holds, in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    NaN and infinity are taken, as Python writes them; who uses the values has to check them.

    Raises:
        ValueError: It is no JSON, in another encoding, or an object has a key twice, of which
            Python would take the last in silence.
    """
    encoding = decoder_of(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as err:
        raise ValueError(f'it is not {encoding.upper().removesuffix("-SIG")} text (byte '
                         f'{err.start}): save it as UTF-8') from None
    try:
        return json.loads(text, object_pairs_hook=without_twins)
    except RecursionError:
        raise ValueError('its lists are nested too deeply') from None
    except json.JSONDecodeError as err:
        raise ValueError(f'it is not JSON: {err}') from None
    except ValueError as err:  # a number of thousands of digits
        raise ValueError(f'it is not JSON that can be read: {err}') from None


def decoder_of(content: bytes) -> str:
    """The encoding of a JSON text by its first bytes."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    # RFC 8259: without a mark, the zeros among the first four bytes tell.
    return encoding or json.detect_encoding(content)


def without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The dict of ``pairs``.

    Raises:
        ValueError: A key is there twice.
    """
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'an object has {twice!r:.80} twice')
    return data
