"""JSON with the numbers that every reader understands."""
from __future__ import annotations

import json
import math

__all__ = ['parse_json']


def parse_json(content: bytes) -> object:
    """``content`` with finite numbers only.

    Raises:
        ValueError, RecursionError: It is not JSON.
    """
    def refuse(name: str) -> None:
        raise ValueError(f'{name:.40} is not a number of JSON')

    def finite(text: str) -> float:
        number = float(text)
        return number if math.isfinite(number) else refuse(text)

    return json.loads(content, parse_constant=refuse, parse_float=finite)
