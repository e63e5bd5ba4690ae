"""A short run of ``fuzzing.py``."""
from __future__ import annotations

from collections import Counter

from tests.annotations.fuzzing import check_one


def test_bent_jsons_are_refused_or_lose_nothing():
    results = Counter(check_one(seed) for seed in range(400))
    assert min(results['refused'], results['taken']) > 100
