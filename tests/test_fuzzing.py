"""A short run of the fuzzer; ``python -m tests.fuzzing --inputs 1000000`` is a long one."""
from __future__ import annotations

import pytest

from mmppvit.encryption import Key
from tests import fuzzing


def test_every_parser_survives():
    counts = fuzzing.fuzz(4000)
    assert len(counts) == 31
    assert min(counts.values()) >= 3


def test_a_traceback_is_found(monkeypatch):
    """Else it would show nothing."""
    monkeypatch.setattr(Key, 'parse', lambda *_: {}['missing'])
    with pytest.raises(KeyError):
        fuzzing.fuzz(100, two_party=False)
