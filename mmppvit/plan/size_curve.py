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
        ratio50 (float, optional): The same of AP at IoU 0.5, which tables by hand may lack.
        equal (bool): Whether the control has patches of the same size, and so as many tokens.
    """
    config: str
    data: str
    scheme: str
    label: str
    object_patches: float
    ratio: float
    seeds: int
    ratio50: float | None = None
    equal: bool = True


def read_plans(paths: Iterable[Path]) -> list[Row]:
    """Rows of several tables; a folder stands for its plan.csv.

    Raises:
        FileNotFoundError, ValueError: See :func:`mmppvit.plan.plan_rows.read_rows`.
    """
    return [row for path in paths
            for row in read_rows(path / 'plan.csv' if path.is_dir() else path)]


def ratios(rows: Sequence[Row]) -> list[Ratio]:
    """Of every scheme whose plain control saw as many images of the same data.

    The control has patches of the same size, or of another if that is the only one there is.

    Raises:
        ValueError: There is none.
    """
    done = [row for row in rows if row.status == DONE and row.map is not None]
    found = []
    for place in dict.fromkeys(_place(row) for row in done):
        here = [row for row in done if _place(row) == place]
        for label in dict.fromkeys(row.label for row in here if row.scheme != PLAIN):
            own = [row for row in here if row.label == label]
            one = _ratio(own, _control(here, own[0].patch_size))
            found += [] if one is None else [one]
    if not found:
        raise ValueError('no scheme has a plain control with the same config, data and number of '
                         'images seen')
    return found


def _place(row: Row) -> tuple:
    return row.config, row.data, row.images_seen


def _control(rows: Sequence[Row], patch_size: int) -> list[Row]:
    plain = [row for row in rows if row.scheme == PLAIN]
    sizes = {row.patch_size for row in plain}
    wanted = {patch_size} if patch_size in sizes or len(sizes) > 1 else sizes
    return [row for row in plain if row.patch_size in wanted]


def _ratio(own: Sequence[Row], control: Sequence[Row]) -> Ratio | None:
    base = {row.seed: row for row in control}
    pairs = [(row, base[row.seed]) for row in own if row.seed in base]
    ratio = _of_means([(row.map, plain.map) for row, plain in pairs])
    if ratio is None:
        return None
    row = own[0]
    return Ratio(row.config, row.data, row.scheme, row.label, row.object_patches or 0., ratio,
                 len(pairs), _of_means([(row.map50, plain.map50) for row, plain in pairs]),
                 row.patch_size == control[0].patch_size)


def _of_means(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    """Mean of the first over mean of the second; None if one of them lacks or the latter is 0."""
    if not pairs or any(None in pair for pair in pairs) or not any(base for _, base in pairs):
        return None
    return mean(value for value, _ in pairs) / mean(base for _, base in pairs)


def mean_ratios(found: Iterable[Ratio]) -> dict[str, tuple[float, int]]:
    """By label: the mean over data sets of the mean ratio in each, and their number."""
    by_label: dict[str, dict[str, list[float]]] = {}
    for one in found:
        by_label.setdefault(one.label, {}).setdefault(one.data, []).append(one.ratio)
    return {label: (mean(mean(values) for values in sets.values()), len(sets))
            for label, sets in by_label.items()}
