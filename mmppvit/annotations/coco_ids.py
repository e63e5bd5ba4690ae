"""Ids of images, annotations and categories, and references to them."""
from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import cached_property

from mmppvit.annotations.findings import CheckReport, shown
from mmppvit.annotations.json_stream import PackedItems, editing, repeated

__all__ = ['Lookup', 'check_ids', 'whole_number']

_EXACT = 2**53  # beyond, pycocotools' arrays of float64 take two ids for one
_DIGITS = re.compile(r'[+-]?[0-9]{1,15}')


def whole_number(value: object) -> int | None:
    """``value`` as an int if it is a whole number, also written as 3.0; None if not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
        return None
    return int(value) if abs(value) < _EXACT else None


def check_ids(items: list[dict] | PackedItems, kind: str, report: CheckReport,
              names: bool = True) -> None:
    """Make the ids of ``items`` ints, or strings where all are; refuse what is none, or twice.

    Args:
        items (list[dict] | PackedItems): Images, annotations or categories; changed in place.
        kind (str): 'image', 'annotation' or 'category', for messages.
        report (CheckReport): Gets what is found.
        names (bool): Whether strings will do. pycocotools stores ids of annotations as numbers.
    """
    strings = 0
    for place, item in enumerate(editing(items)):
        _check_id(item, f'{kind} number {place + 1}', kind, report, names)
        strings += isinstance(item.get('id'), str)
    if strings and (not names or strings < len(items)):
        _make_numbers(items, kind, report)
    for value, count in repeated(lambda: (item['id'] for item in items if isinstance(
            item.get('id'), (int, str)))).items():
        report.refuse(f'{kind} id that is given more than once: number them anew',
                      f'{kind} id {shown(value)} is there {count} times')


def _check_id(item: dict, where: str, kind: str, report: CheckReport, names: bool) -> None:
    value = item.get('id')
    if type(value) is int and abs(value) < _EXACT:
        return
    number = whole_number(value)
    if number is not None:
        item['id'] = number
        report.correct(f'{kind} id written as a float, made an int',
                       f'{where}: id is {shown(value)}')
    elif not (isinstance(value, str) and value.strip()):
        wanted = 'a whole number or a string' if names else 'a whole number'
        report.refuse(f'{kind} id that is not {wanted}', f'{where}: ' + (
            f'id is {shown(value)}' if 'id' in item else 'id is missing'))
        item['id'] = None


def _make_numbers(items: list[dict] | PackedItems, kind: str, report: CheckReport) -> None:
    """Among numbers, ids written as strings become numbers if they are."""
    for item in editing(items):
        value = item.get('id')
        if not isinstance(value, str):
            continue
        if _DIGITS.fullmatch(value.strip()):
            item['id'] = int(value)
            report.correct(f'{kind} id written as a string, made a number', f'id is {shown(value)}')
        else:
            report.refuse(f'{kind} id that is a string where ids are numbers: number all of them',
                          f'id is {shown(value)}')
            item['id'] = None


class Lookup:
    """Finds the id that a reference means, also if it is written as another type.

    Args:
        ids (Iterable): The ids, ints or strings; a dict of them is not copied.
    """

    def __init__(self, ids: Iterable[int | str]) -> None:
        self.ids = ids if isinstance(ids, dict) else set(ids)
        self._types = {type(value) for value in self.ids}

    @cached_property
    def _by_text(self) -> dict[str, list[int | str]]:
        by_text: dict[str, list[int | str]] = {}
        for value in self.ids:
            by_text.setdefault(_text(value), []).append(value)
        return by_text

    def find(self, value: object) -> int | str | None:
        """The id; None if there is none, or more than one, that it may mean."""
        if type(value) in (int, str) and value in self.ids:
            return value
        if isinstance(value, float):
            value = whole_number(value)
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            return None
        found = self._by_text.get(_text(value), [])
        return found[0] if len(found) == 1 else None

    def is_of_their_type(self, value: object) -> bool:
        """Whether ``value`` could be one of the ids, written as they are."""
        if whole_number(value) is not None:
            return not self._types or int in self._types
        return isinstance(value, str) and (not self._types or str in self._types)


def _text(value: int | str) -> str:
    """The same for 7, '7', ' 7' and '007'."""
    if isinstance(value, int):
        return str(value) if abs(value) < _EXACT else 'none'
    stripped = value.strip()
    return str(int(stripped)) if _DIGITS.fullmatch(stripped) else stripped
