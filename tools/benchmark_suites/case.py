"""A case of a benchmark."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Case:
    """A candidate and its baseline; both are picklable and return what is to be timed."""
    name: str
    shape: str
    candidate: Callable[[], Callable[[], object]]
    baseline_name: str
    baseline: Callable[[], Callable[[], object]]
