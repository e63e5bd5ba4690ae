"""The table of a plan: one row a candidate and seed, rewritten whole after every change."""
from __future__ import annotations

import csv
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from mmppvit.plan.choices import label_of
from mmppvit.utils.atomic import replace_file

__all__ = ['DONE', 'DROPPED', 'FAILED', 'PAUSED', 'WAITING', 'PlanTable', 'Row', 'read_rows',
           'write_rows']

WAITING, PAUSED, DONE, DROPPED, FAILED = 'waiting', 'paused', 'done', 'dropped', 'failed'


@dataclass(frozen=True)
class Row:
    """One candidate under one seed.

    Args:
        config (str): Name of the config, without folder.
        data (str): Name of the folder that has the data set.
        scheme (str): 'plain', or the scheme's name.
        patch_size, grid, strength: Of the scheme.
        parameters (str): Further ones, as 'KEY=VALUE;KEY=VALUE'.
        seed (int): Of the training.
        epochs (int): Trained so far.
        images_seen (int): Training images, counted as often as they were seen.
        map, map50, map_small (float, optional): COCO mAP of boxes after the last of these epochs,
            at IoU 0.5, and of objects below 32x32 pixels.
        map_first (float, optional): mAP after the first part of the budget, with halving.
        seconds, cpu_seconds (float): Time of the processes that trained.
        tokens (float, optional): Mean number of patches of an image.
        object_patches (float, optional): Median side of a training box, in patches.
        status (str): 'waiting', 'paused' after the first part, 'done', 'dropped' by halving,
            'failed'.
        error (str): Why it failed, in one line.
        run (str): Folder of the training below ``runs/``; candidates may share one.
        date (str): Day of the last change, as 2026-11-26.
    """
    config: str = ''
    data: str = ''
    scheme: str = ''
    patch_size: int = 16
    grid: int = 1
    strength: float = 0.
    parameters: str = ''
    seed: int = 0
    epochs: int = 0
    images_seen: int = 0
    map: float | None = None
    map50: float | None = None
    map_small: float | None = None
    map_first: float | None = None
    seconds: float = 0.
    cpu_seconds: float = 0.
    tokens: float | None = None
    object_patches: float | None = None
    status: str = WAITING
    error: str = ''
    run: str = ''
    date: str = ''

    @property
    def label(self) -> str:
        """That of the candidate."""
        return label_of(self.scheme, self.patch_size, self.grid, self.strength, self.parameters)


_DIGITS = dict(map=4, map50=4, map_small=4, map_first=4, seconds=1, cpu_seconds=1, tokens=1,
               object_patches=3)
_KINDS = {field.name: str(field.type).removesuffix(' | None') for field in fields(Row)}


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """The file has all of ``rows``, or is as it was."""
    with replace_file(path) as temporary, temporary.open('w', newline='',
                                                         encoding='utf-8') as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator='\n')
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _text(value) for key, value in asdict(row).items()})


def _rounded(row: Row) -> Row:
    """With the digits that the file has, so that it reads back as what is in memory."""
    return replace(row, **{key: round(float(value), digits) for key, digits in _DIGITS.items()
                           if (value := getattr(row, key)) is not None})


def _text(value: object) -> str:
    if value is None:
        return ''
    if isinstance(value, float):
        return repr(value).removesuffix('.0')
    return str(value)


def read_rows(path: Path) -> list[Row]:
    """Rows of a table; columns that it lacks have their defaults.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such table; the message names line and column.
    """
    if not path.is_file():
        raise FileNotFoundError(f'no table {path}: `mmppvit plan` writes plan.csv')
    with path.open(newline='', encoding='utf-8-sig') as file:
        reader = csv.DictReader(file)
        try:
            columns, lines = set(reader.fieldnames or ()), list(reader)
        except (csv.Error, UnicodeDecodeError) as err:
            raise ValueError(f'{path} is no table of `mmppvit plan`: {err}') from None
    if not {'scheme', 'map'} <= columns:
        raise ValueError(f'{path} is no table of `mmppvit plan`: it has no columns scheme and map')
    return [_row(line, f'{path}, line {number}') for number, line in enumerate(lines, 2)]


def _row(line: dict, where: str) -> Row:
    values = {}
    for key, kind in _KINDS.items():
        text = line.get(key)
        if text is None or (text == '' and kind != 'str'):
            continue
        if kind == 'str':
            values[key] = text
            continue
        try:
            values[key] = float(text) if kind == 'float' else int(text)
        except ValueError:
            raise ValueError(f'{where}: {key} is {text!r}, which is no number') from None
    return Row(**values)


class PlanTable:
    """The rows of a plan in a file; safe to change from several threads.

    Args:
        path (Path): The file; one that is there is read first.

    Raises:
        ValueError: The file is no such table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        old = read_rows(path) if path.is_file() else []
        self._rows = {(row.label, row.seed): row for row in old}

    @property
    def rows(self) -> list[Row]:
        with self._lock:
            return list(self._rows.values())

    def get(self, label: str, seed: int) -> Row:
        with self._lock:
            return self._rows[label, seed]

    def add(self, row: Row) -> None:
        """A row that may be there already, and then stays as it is."""
        with self._lock:
            self._rows.setdefault((row.label, row.seed), row)

    def change(self, keys: Iterable[tuple[str, int]], **values: object) -> None:
        """Set fields of some rows, and write the file."""
        with self._lock:
            for key in keys:
                self._rows[key] = _rounded(replace(self._rows[key], **values))
            write_rows(self.path, self._rows.values())
