"""A short run of the fuzzer; ``python -m tests.sealed.fuzzing --minutes 60`` is a long one."""
from __future__ import annotations

import pytest

from mmppvit.encryption import Key
from tests.sealed import fuzzing


def test_every_parser_survives():
    counts = fuzzing.fuzz(minutes=1, seed=0, most=3000)
    assert len(counts) == 9
    assert counts.total() >= 3000


def test_a_traceback_is_found(monkeypatch):
    """Else it would show nothing."""
    monkeypatch.setattr(Key, 'parse', lambda *_: {}['missing'])
    with pytest.raises(KeyError):
        fuzzing.fuzz(minutes=1, seed=0, most=100)
