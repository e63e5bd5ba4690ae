"""The privacy-utility plane: what a detector gains from images against what attackers do."""
from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmppvit.utils.atomic import replace_file

__all__ = ['MEASURES', 'Point', 'Reached', 'dominates', 'front', 'measures', 'sentences',
           'write_csv']

MEASURES = {
    'ssim_gained': 'SSIM gained over the floor',
    'reidentified': 're-identified',
    'neighbors': 'neighbors right',
    'ap_kept': "share of the originals' detector AP",
}


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
        map (float): COCO mAP of a detector on its images.
        success (dict[str, Reached]): By the keys of :data:`MEASURES`, of the best attacker each,
            between 0 and 1. Without 'neighbors' if an order was shuffled and nobody's guess at it
            was scored, and without 'ap_kept' if no detector looked at what was reconstructed.
        baseline (bool): Whether it is a baseline, see :class:`mmppvit.encryption.Scheme`.
        victims (tuple[str, ...]): Who was attacked.
        failed (tuple[str, ...]): Attackers that did not come to an end.
        detector (str): What tells the detector of 'ap_kept' from others; empty without.
    """
    name: str
    map: float
    success: Mapping[str, Reached]
    baseline: bool = False
    victims: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    detector: str = ''

    @property
    def vector(self) -> dict[str, float]:
        return {key: scale.value for key, scale in self.success.items()}


def measures(points: Sequence[Point]) -> list[str]:
    """Keys of :data:`MEASURES` for tables: all, but 'ap_kept' only where any point has it."""
    return [key for key in MEASURES if key != 'ap_kept' or any(key in p.vector for p in points)]


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
    unscored = [point.name for point in points if 'neighbors' not in point.vector]
    if unscored:
        doubts.append(f'{", ".join(unscored)}: the order of the patches was not scored, so '
                      'neighbors are not compared; give tools/attack.py the --key-file.')
    undetected = [point.name for point in points if 'ap_kept' not in point.vector]
    if undetected and len(undetected) < len(points):
        doubts.append(f'{", ".join(undetected)}: no AP of a detector, so it is not compared; give '
                      'tools/attack.py --detector, --checkpoint and --ann.')
    if len({point.detector for point in points if 'ap_kept' in point.vector}) > 1:
        doubts.append('Not all AP is of the same detector: its shares cannot be compared.')
    if len({frozenset(point.victims) for point in points}) > 1:
        doubts.append('Not all schemes were attacked on the same images: small differences say '
                      'nothing.')
    return doubts


def write_csv(path: Path, points: Sequence[Point]) -> None:
    """One line a scheme: mAP, and by measure success, best attacker and whether it is on the front.
    """
    fronts = {key: {point.name for point in front(points, key)} for key in measures(points)}
    with replace_file(path) as temporary, temporary.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['name', 'baseline', 'map', *(
            f'{key}{part}' for key in measures(points) for part in ('', '_attacker', '_front'))])
        for point in points:
            cells = []
            for key in measures(points):
                scale = point.success.get(key, Reached(math.nan, ''))
                value = '' if math.isnan(scale.value) else f'{scale.value:.4f}'
                cells += [value, scale.attacker, int(point.name in fronts[key])]
            writer.writerow([point.name, int(point.baseline), f'{point.map:.4f}', *cells])
