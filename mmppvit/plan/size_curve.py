"""What encryption costs against the size of objects in patches, over several plans."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from mmppvit.plan.choices import PLAIN
from mmppvit.plan.plan_rows import DONE, Row, read_rows

__all__ = ['Ratio', 'mean_ratios', 'ratios', 'read_plans']


@dataclass(frozen=True)
class Ratio:
    """One scheme on one data set at one size.

    Args:
        config, data (str): As of :class:`Row`.
        scheme (str): Name of the scheme.
        label (str): Of the candidate.
        object_patches (float): Median side of a box, in patches.
        ratio (float): mAP / mAP on plain images, means over seeds.
        seeds (int): Trainings that both have.
    """
    config: str
    data: str
    scheme: str
    label: str
    object_patches: float
    ratio: float
    seeds: int


def read_plans(paths: Iterable[Path]) -> list[Row]:
    """Rows of several tables; a folder stands for its plan.csv.

    Raises:
        FileNotFoundError, ValueError: See :func:`mmppvit.plan.plan_rows.read_rows`.
    """
    return [row for path in paths
            for row in read_rows(path / 'plan.csv' if path.is_dir() else path)]


def ratios(rows: Sequence[Row]) -> list[Ratio]:
    """Of every scheme whose plain control saw as many images, in the same data and patches.

    Raises:
        ValueError: There is none.
    """
    done = [row for row in rows if row.status == DONE and row.map is not None]
    found = []
    for key in dict.fromkeys(_place(row) for row in done):
        here = [row for row in done if _place(row) == key]
        plain = {row.seed: row.map for row in here if row.scheme == PLAIN}
        for label in dict.fromkeys(row.label for row in here if row.scheme != PLAIN):
            own = {row.seed: row for row in here if row.label == label and row.seed in plain}
            if not own or not mean(plain[seed] for seed in own):
                continue
            row = next(iter(own.values()))
            found.append(Ratio(
                row.config, row.data, row.scheme, label, row.object_patches or 0.,
                mean(r.map for r in own.values()) / mean(plain[seed] for seed in own), len(own)))
    if not found:
        raise ValueError('no scheme has a plain control with the same config, data, patch size, '
                         'tokens and number of images seen')
    return found


def _place(row: Row) -> tuple:
    return row.config, row.data, row.patch_size, row.images_seen, round(row.tokens or 0)


def mean_ratios(found: Iterable[Ratio]) -> dict[str, tuple[float, int]]:
    """By label: the mean over data sets of the mean ratio in each, and their number."""
    by_label: dict[str, dict[str, list[float]]] = {}
    for one in found:
        by_label.setdefault(one.label, {}).setdefault(one.data, []).append(one.ratio)
    return {label: (mean(mean(values) for values in sets.values()), len(sets))
            for label, sets in by_label.items()}
