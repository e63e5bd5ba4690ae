"""Files and names from folders that may hold anything."""
from __future__ import annotations

import os

import pytest

from mmppvit.utils.printable import printable
from mmppvit.utils.regular_files import read_regular


def test_a_regular_file_is_read_whole(tmp_path):
    (tmp_path / 'a').write_bytes(bytes(1000))
    for limit in (None, 1000, 2**60):  # which must not be taken as memory
        assert read_regular(tmp_path / 'a', limit) == bytes(1000)
    with pytest.raises(OSError, match='longer than 999 bytes'):
        read_regular(tmp_path / 'a', 999)


def test_pipes_devices_and_folders_are_refused(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    for path in (tmp_path / 'pipe', '/dev/zero'):
        with pytest.raises(OSError, match='not a regular file'):
            read_regular(path)
    with pytest.raises(OSError, match='directory'):
        read_regular(tmp_path)


@pytest.mark.parametrize(('text', 'expected'), [
    ('a b.png', 'a b.png'), ('ä日本.png', 'ä日本.png'), ('a\nb', r'a\x0ab'),
    ('\x1b[2J', r'\x1b[2J'), ('\x9b2J', r'\x9b2J'), ('a\u202eb', r'a\u202eb'),
    ('\udcff', r'\udcff'), ('a\u2028b', r'a\u2028b'), ('\x7f', r'\x7f'),
])
def test_what_a_terminal_obeys_is_escaped(text, expected):
    assert printable(text) == expected
    assert printable(text).isprintable()
