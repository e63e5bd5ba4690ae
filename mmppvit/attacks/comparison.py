"""The privacy-utility plane: what a detector gains from pictures against what attackers do."""
from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmppvit.atomic import replace_file
from mmppvit.encryption import BASELINES, read_scheme

__all__ = ['MEASURES', 'Point', 'Reached', 'dominates', 'front', 'parse_point', 'read_map',
           'read_point', 'read_points', 'sentences', 'write_csv']

MEASURES = {
    'ssim_gained': 'SSIM gained over the floor',
    'reidentified': 're-identified',
    'neighbours': 'neighbours right',
}
_LOGS = ('scalars.json', '[0-9]*.json', '*.log')
_MAP = re.compile(r'"?(?:[\w.-]+/)*bbox_mAP"?:\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?|nan)')


@dataclass(frozen=True)
class Reached:
    """What the best attacker reached in one measure, and who that is ('-' if nobody tried)."""
    value: float
    attacker: str = '-'


@dataclass(frozen=True)
class Point:
    """One scheme in the plane.

    Args:
        name (str): Of the scheme, for people.
        map (float): COCO mAP of a detector on its pictures.
        success (dict[str, Reached]): By the keys of :data:`MEASURES`, of the best attacker each,
            between 0 and 1. Without 'neighbours' if an order was shuffled and nobody's guess at it
            was scored.
        baseline (bool): Whether it is one of :data:`BASELINES`.
        victims (tuple[str, ...]): Who was attacked.
        failed (tuple[str, ...]): Attackers that did not come to an end.
    """
    name: str
    map: float
    success: Mapping[str, Reached]
    baseline: bool = False
    victims: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def vector(self) -> dict[str, float]:
        return {key: scale.value for key, scale in self.success.items()}


# --- reading -------------------------------------------------------------------------------------


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
        data = json.loads(path.read_text())
        scheme = read_scheme(data['scheme'])
        done = [row for row in data['rows'] if row['status'] == 'done']
        failed = [row['name'] for row in data['rows']
                  if row['status'] in ('failed', 'out of time')]
        success = _success(data, scheme.shuffles, done)
        victims = tuple(data['victims'])
    except (KeyError, TypeError, json.JSONDecodeError) as err:
        raise ValueError(f'{path} is no report of tools/attack.py ({type(err).__name__}: {err})'
                         ) from None
    except FileNotFoundError as err:
        raise ValueError(f'{name}: no file {err.filename}; tools/attack.py writes it') from None
    if not done:
        raise ValueError(f'{name}: no attacker of {path} came to an end, so nothing is known of '
                         'what leaks')
    return Point(name, _checked_map(score), success, scheme.name in BASELINES, victims,
                 tuple(failed))


def _success(data: Mapping, shuffled: bool, done: Sequence[Mapping]) -> dict[str, Reached]:
    """What the best of ``done`` reached, by measure."""
    floor = data['floor']['metrics']['ssim']['mean']
    found = {}
    for key, metric in zip(MEASURES, ('ssim', 'reidentified', 'neighbours'), strict=True):
        scored = [(row['metrics'][metric]['mean'], row['name']) for row in done
                  if metric in row['metrics']]
        if scored:
            value, attacker = max(scored, key=lambda item: item[0])
            if key == 'ssim_gained':
                value = max((value - floor) / max(1 - floor, 1e-6), 0.)
            found[key] = Reached(float(value), attacker)
    if not shuffled:
        found['neighbours'] = Reached(1.)  # patches in order: there is nothing to be put right
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


# --- comparing -----------------------------------------------------------------------------------


def dominates(one: Point, other: Point, tolerance: float = .01) -> bool:
    """Whether ``one`` is as good to the detector, and no attacker got more of it and some less.

    Args:
        one, other (Point): Compared in the measures that both have.
        tolerance (float): mAP that ``one`` may lack and still be equal; how little more or less
            an attacker must have got to be equal as well.
    """
    shared = [(one.vector[key], other.vector[key]) for key in MEASURES
              if key in one.vector and key in other.vector]
    return (one.map >= other.map - tolerance - 1e-9
            and all(mine <= theirs + 1e-9 for mine, theirs in shared)
            and any(mine < theirs - tolerance - 1e-9 for mine, theirs in shared))


def front(points: Sequence[Point], measure: str) -> list[Point]:
    """Pareto-optimal ones, by rising mAP: no other has more mAP and less success, or equal.

    Args:
        points (Sequence[Point]): Those without ``measure`` are left out.
        measure (str): One of :data:`MEASURES`.
    """
    scored = [point for point in points if measure in point.vector]
    kept = [point for point in scored if not any(
        other.map >= point.map and other.vector[measure] <= point.vector[measure]
        and (other.map, other.vector[measure]) != (point.map, point.vector[measure])
        for other in scored)]
    return sorted(kept, key=lambda point: (point.map, point.vector[measure]))


def sentences(points: Sequence[Point], tolerance: float = .01) -> list[str]:
    """Who dominates whom, in plain words, and then what makes the comparison weak, if anything.

    Those that are dominated themselves are left out: one that dominates them beats theirs as well
    or is told from them by the tolerance alone.
    """
    beaten = {point.name: [other.name for other in points if dominates(point, other, tolerance)]
              for point in points}
    lost = {name for names in beaten.values() for name in names}
    said = [f'{name} dominates {", ".join(others)}' for name, others in beaten.items()
            if others and name not in lost]
    text = f'At equal or better mAP (within {tolerance:g}), ' + (
        f'{"; ".join(said)}: no attack got more in any measure, and in one it got less.' if said
        else 'no scheme dominates another: each is better in some measure, or as good in all.')
    return [text, *_doubts(points)]


def _doubts(points: Sequence[Point]) -> list[str]:
    doubts = [f'{point.name}: {", ".join(point.failed)} failed, so attacks may get more of it than '
              'this says.' for point in points if point.failed]
    unscored = [point.name for point in points if 'neighbours' not in point.vector]
    if unscored:
        doubts.append(f'{", ".join(unscored)}: the order of the patches was not scored, so '
                      'neighbours are not compared; give tools/attack.py the --key-file.')
    if len({frozenset(point.victims) for point in points}) > 1:
        doubts.append('Not all schemes were attacked on the same pictures: small differences say '
                      'nothing.')
    return doubts


def write_csv(path: Path, points: Sequence[Point]) -> None:
    """One line a scheme: mAP, and by measure success, best attacker and whether it is on the front.
    """
    fronts = {key: {point.name for point in front(points, key)} for key in MEASURES}
    with replace_file(path) as temporary, temporary.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['name', 'baseline', 'map', *(
            f'{key}{part}' for key in MEASURES for part in ('', '_attacker', '_front'))])
        for point in points:
            cells = []
            for key in MEASURES:
                scale = point.success.get(key, Reached(math.nan, ''))
                value = '' if math.isnan(scale.value) else f'{scale.value:.4f}'
                cells += [value, scale.attacker, int(point.name in fronts[key])]
            writer.writerow([point.name, int(point.baseline), f'{point.map:.4f}', *cells])
