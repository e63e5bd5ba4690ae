"""Points of the privacy-utility plane: reports of ``tools/attack.py`` and mAPs of detectors."""
from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmppvit.attacks.comparison.plane import MEASURES, Point, Reached
from mmppvit.attacks.report.verdict import LEAST_AP
from mmppvit.encryption import read_scheme

__all__ = ['parse_point', 'read_map', 'read_point', 'read_points']

_LOGS = ('scalars.json', '[0-9]*.json', '*.log')
_MAP = re.compile(r'"?(?:[\w.-]+/)*bbox_mAP"?:\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?|nan)')


def parse_point(text: str) -> tuple[str, Path, str]:
    """'NAME=REPORT:MAP' -> its parts.

    Raises:
        ValueError: It is not that.
    """
    name, _, rest = text.partition('=')
    report, _, score = rest.rpartition(':')
    if not (name.strip() and report and score):
        raise ValueError(f'{text!r} is not NAME=REPORT:MAP, e.g. mix=reports/mix:0.545')
    return name.strip(), Path(report), score


def read_points(given: Sequence[str], table: Path | None = None) -> list[Point]:
    """Points of 'NAME=REPORT:MAP' and of a csv with the columns name, report, map.

    Paths in the csv are relative to its folder.

    Raises:
        ValueError: A name comes twice, there are fewer than two, or one cannot be read.
        OSError: A file cannot be read.
    """
    wanted = [parse_point(text) for text in given] + (_read_table(table) if table else [])
    names = [name for name, _, _ in wanted]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f'{", ".join(twice)} given more than once')
    if len(wanted) < 2:
        raise ValueError(f'a comparison needs two schemes at least, got {len(wanted)}')
    return [read_point(*parts) for parts in wanted]


def _read_table(path: Path) -> list[tuple[str, Path, str]]:
    with path.open(newline='', encoding='utf-8-sig') as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        if not {'name', 'report', 'map'} <= set(reader.fieldnames or ()):
            raise ValueError(f'{path} has the columns {reader.fieldnames}: name, report and map '
                             'are needed')
        rows = list(reader)
    for number, row in enumerate(rows, 2):
        if not all(row[key] and row[key].strip() for key in ('name', 'report', 'map')):
            raise ValueError(f'{path}, line {number}: name, report or map is empty')
    return [(row['name'].strip(), path.parent / row['report'].strip(),
             _beside(path, row['map'].strip())) for row in rows]


def _beside(table: Path, score: str) -> str:
    return score if _number(score) is not None else str(table.parent / score)


def read_point(name: str, report: Path, score: str) -> Point:
    """One point from a report of ``tools/attack.py`` and a mAP.

    Args:
        name (str): Of the scheme.
        report (Path): ``report.json``, or the folder that has it.
        score (str): A number in [0, 1], or what :func:`read_map` reads.

    Raises:
        ValueError: There is no such report, no attacker in it was done, or there is no mAP.
    """
    path = report / 'report.json' if report.is_dir() else report
    try:
        data = json.loads(path.read_text(), object_hook=_in_present_words)
        scheme = read_scheme(data['scheme'])
        done = [row for row in data['rows'] if row['status'] == 'done']
        failed = [row['name'] for row in data['rows']
                  if row['status'] in ('failed', 'out of time')]
        success = _success(data, scheme.shuffles, done)
        detector = (data.get('detector') or {}).get('sha256', '')
        victims = tuple(data['victims'])
    except (KeyError, TypeError, json.JSONDecodeError) as err:
        raise ValueError(f'{path} is no report of tools/attack.py ({type(err).__name__}: {err})'
                         ) from None
    except FileNotFoundError as err:
        raise ValueError(f'{name}: no file {err.filename}; tools/attack.py writes it') from None
    if not done:
        raise ValueError(f'{name}: no attacker of {path} came to an end, so nothing is known of '
                         'what leaks')
    return Point(name, _checked_map(score), success, scheme.baseline, victims,
                 tuple(failed), detector)


def _in_present_words(entry: dict) -> dict:
    """Keys of reports as they are called now; older reports spell one the British way."""
    return {{'neighbours': 'neighbors'}.get(key, key): value for key, value in entry.items()}


def _success(data: Mapping, shuffled: bool, done: Sequence[Mapping]) -> dict[str, Reached]:
    """What the best of ``done`` reached, by measure, or the sealed images as they are."""
    floor = data['floor']['metrics']['ssim']['mean']
    found = {}
    for key, metric in zip(MEASURES, ('ssim', 'reidentified', 'neighbors', 'ap'), strict=True):
        if not any(metric in row['metrics'] for row in done):
            continue
        rows = [data.get('as_it_is', done[0]), *done]  # older reports have none
        best = max((row for row in rows if metric in row['metrics']),
                   key=lambda row: row['metrics'][metric]['mean'])
        value = best['metrics'][metric]['mean']
        if key == 'ssim_gained':
            value = max((value - floor) / max(1 - floor, 1e-6), 0.)
        if key == 'ap_kept':
            plain = data['ceiling']['metrics'][metric]['mean']
            if plain < LEAST_AP:
                continue
            value = min(value / plain, 1.)
        found[key] = Reached(float(value), best['name'])
    if not shuffled:
        found['neighbors'] = Reached(1.)  # patches in order: there is nothing to be put right
    return found


def _checked_map(score: str) -> float:
    value = _number(score)
    value = read_map(Path(score)) if value is None else value
    if not 0 <= value <= 1:
        raise ValueError(f'a mAP lies between 0 and 1, and {score} gives {value}')
    return value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def read_map(path: Path) -> float:
    """The last ``bbox_mAP`` in a log of MMEngine, as its last epoch has it.

    Args:
        path (Path): A log, a ``scalars.json``, the json of ``tools/test.py``, or a folder of runs,
            of which the newest that has one counts (MMEngine names runs by their time).

    Raises:
        ValueError: There is none.
    """
    files = [path]
    if path.is_dir():
        found = [file for pattern in _LOGS for file in path.rglob(pattern)]
        files = sorted(found, key=lambda file: file.relative_to(path).parts, reverse=True)
    elif not path.is_file():
        raise ValueError(f'{path} is neither a number, a file nor a folder with the mAP of a '
                         'detector')
    for file in files:
        scores = _MAP.findall(file.read_text(errors='replace'))
        if scores:
            return float(scores[-1])
    raise ValueError(f'no bbox_mAP in {path}: name a log or a scalars.json of a training or test '
                     'with evaluation')
