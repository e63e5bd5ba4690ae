"""Key files, as they are written by hand."""
from __future__ import annotations

import pytest

from tests.encryption.known_key import WHOLE


@pytest.fixture
def key_file(tmp_path):
    """``key_file(content, mode)`` writes a file as it is and returns its path."""

    def write(content: bytes = WHOLE, mode: int = 0o600):
        path = tmp_path / 'some.key'
        path.write_bytes(content)
        path.chmod(mode)
        return path

    return write
