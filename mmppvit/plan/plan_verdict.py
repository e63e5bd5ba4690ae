"""Which scheme to take for a budget, in words."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from mmppvit.plan.choices import PLAIN
from mmppvit.plan.hiding import LEVELS
from mmppvit.plan.plan_rows import DONE, DROPPED, FAILED, Row

__all__ = ['Loss', 'Verdict', 'judge', 'losses']

LEARNED = .02  # mAP of plain images below which a detector has learned nothing to lose
SPREAD = .01  # mAP between runs that should not differ, as measured on BCCD (docs/results.md)


@dataclass(frozen=True)
class Loss:
    """What a candidate costs.

    Args:
        label, scheme (str): Of the candidate.
        map (float): Mean over the seeds.
        loss (float): 1 - mAP / that of plain images with patches of the same size.
        margin (float): By how much chance may have moved ``loss``.
        hidden (float): How much it hides.
    """
    label: str
    scheme: str
    map: float
    loss: float
    margin: float
    hidden: float


@dataclass(frozen=True)
class Verdict:
    """``taken`` is the label of the scheme to take, None if there is none; ``lines`` say why."""
    taken: str | None
    lines: list[str]


def losses(rows: Sequence[Row], hidden: Mapping[str, float]) -> list[Loss]:
    """Of every candidate whose trainings are all done, and that has a plain control.

    Control is any training on plain images in patches of the same size that has learned something.

    Args:
        rows (Sequence[Row]): Of a plan.
        hidden (Mapping): How much each candidate hides, by its label.
    """
    scores: dict[str, list[Row]] = {}
    for row in rows:
        scores.setdefault(row.label, []).append(row)
    done = {label: found for label, found in scores.items()
            if all(map(_is_done, found))}
    plain = _controls(rows)
    result = []
    for label, found in done.items():
        row, control = found[0], plain.get(found[0].patch_size)
        if row.scheme == PLAIN or control is None:
            continue
        base, own = mean(r.map for r in control), mean(r.map for r in found)
        margin = math.hypot(_spread(found), _spread(control)) / base
        result.append(Loss(label, row.scheme, own, 1 - own / base, margin, hidden[label]))
    return result


def _controls(rows: Sequence[Row]) -> dict[int, list[Row]]:
    """Plain trainings that candidates can be compared with, by patch size."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        if row.scheme == PLAIN and _is_done(row) and row.map >= LEARNED:
            found.setdefault(row.patch_size, []).append(row)
    return found


def _is_done(row: Row) -> bool:
    return row.status == DONE and row.map is not None


def _spread(rows: Sequence[Row]) -> float:
    """Standard error of the mean mAP; of one run, half of what equal runs were seen to differ."""
    if len(rows) < 2:
        return SPREAD / 2
    return stdev(row.map for row in rows) / math.sqrt(len(rows))


def judge(rows: Sequence[Row], hidden: Mapping[str, float], max_loss: float,
          measured: bool = False) -> Verdict:
    """The scheme that hides the most of those that cost at most ``max_loss`` of the plain mAP.

    What has no plain control is left out, and the lines say so.

    Args:
        rows (Sequence[Row]): Of a plan.
        hidden (Mapping): How much each candidate hides, by its label.
        max_loss (float): Share of the plain mAP.
        measured (bool): Whether ``hidden`` is what attackers left, or the fixed ranking.
    """
    notes = _notes(rows)
    plain = [row for row in rows if row.scheme == PLAIN]
    if not _controls(rows):
        return Verdict(None, [f'No verdict: {_why_no_control(plain)}.', *notes])
    notes = [*_left_out(rows), *notes]
    found = sorted(losses(rows, hidden), key=lambda one: (-one.hidden, -one.map))
    if not found:
        return Verdict(None, ['No verdict: no scheme with a plain training to compare with was '
                              'trained to the end.', *notes])
    within = [one for one in found if one.loss <= max_loss]
    if not within:
        nearest = min(found, key=lambda one: one.loss)
        return Verdict(None, [
            f'Take no scheme: none costs at most {max_loss:.1%} of the plain mAP. The nearest is '
            f'{_cost(nearest)}.', *notes])
    best = within[0]
    lines = [f'Take {_cost(best)}: of {len(within)} of {len(found)} schemes that cost at most '
             f'{max_loss:.1%}, it hides the most ({_why(best, measured)}).']
    more = [one for one in found if one.hidden > best.hidden]
    if more:
        lines.append('What hides more costs more: ' + '; '.join(map(_cost, more)) + '.')
    unclear = [one for one in [best, *more] if abs(one.loss - max_loss) < one.margin]
    if unclear:
        lines.append(f'Chance may decide {", ".join(one.label for one in unclear)}: the distance '
                     'from the budget is less than what seeds differ by. More --seeds tell.')
    return Verdict(best.label, [*lines, *notes])


def _cost(one: Loss) -> str:
    return f'{one.label} (mAP {one.map:.3f}, {one.loss:.1%} less than plain)' if one.loss >= 0 \
        else f'{one.label} (mAP {one.map:.3f}, {-one.loss:.1%} more than plain)'


def _why(one: Loss, measured: bool) -> str:
    if measured:
        return f'by the reports, the best attacks leave {one.hidden:.0%} of it hidden on average'
    return LEVELS[one.scheme][1] if one.scheme in LEVELS else 'not attacked here'


def _why_no_control(plain: Sequence[Row]) -> str:
    done = [row for row in plain if _is_done(row)]
    if not done:
        return 'no training on plain images was done'
    return (f'on plain images the mAP is {done[0].map:.3f} after {done[0].images_seen} images; a '
            'longer training is needed before a loss means anything')


def _left_out(rows: Sequence[Row]) -> list[str]:
    """Which schemes have no control, and which trainings on plain images are none."""
    controls, notes = _controls(rows), []
    for size in dict.fromkeys(row.patch_size for row in rows):
        plain = [row for row in rows if row.scheme == PLAIN and row.patch_size == size]
        if size in controls:
            notes += [f'{row.label}, seed {row.seed}, is left out: an mAP of {row.map:.3f} shows '
                      'that it learned nothing.' for row in plain
                      if _is_done(row) and row not in controls[size]]
            continue
        labels = list(dict.fromkeys(row.label for row in rows if row.patch_size == size
                                    and row.scheme != PLAIN and row.status != DROPPED))
        if labels:
            notes.append(f'Not judged: {", ".join(labels)}. In patches of {size} pixels, '
                         f'{_why_no_control(plain)}.')
    return notes


def _notes(rows: Sequence[Row]) -> list[str]:
    notes = []
    dropped = list(dict.fromkeys(row.label for row in rows if row.status == DROPPED))
    if dropped:
        notes.append(f'Dropped after a third of the budget: {", ".join(dropped)}.')
    for row in rows:
        if row.status == FAILED:
            notes.append(f'{row.label}, seed {row.seed}, failed: {row.error}')
    return notes
