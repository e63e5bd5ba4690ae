"""What the figures of a report mean, in plain words."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ['verdict']


def verdict(report: Mapping) -> list[str]:
    """Sentences for whoever has to decide whether these pictures may be handed over.

    Only what the best attacker reached counts, and what was measured is said beside it: nothing
    is called safe. That no attacker here got far says nothing about a better one.

    Args:
        report (Mapping): As ``report.json``, with ``rows``, ``floor`` and ``ceiling``.
    """
    rows = [row for row in report['rows'] if row['status'] == 'done']
    if not rows:
        return ['No attacker came to an end: this report says nothing about these pictures.']
    sentences = [*_recognised(rows, report), *_structure(rows, report), *_layout(rows, report)]
    failed = [row['name'] for row in report['rows'] if row['status'] in ('failed', 'out of time')]
    if failed:
        sentences.append(f'Not counted, because they failed: {", ".join(failed)}. What they would '
                         'have recovered is unknown.')
    return sentences


def _best(rows: Sequence[Mapping], metric: str) -> tuple[Mapping, Mapping] | None:
    """The row that got furthest, and its figures; None if nobody has the metric."""
    scored = [row for row in rows if row['metrics'].get(metric)]
    if not scored:
        return None
    row = max(scored, key=lambda row: row['metrics'][metric]['mean'])
    return row, row['metrics'][metric]


def _recognised(rows: Sequence[Mapping], report: Mapping) -> list[str]:
    best = _best(rows, 'reidentified')
    if best is None:
        return []
    row, found = best
    number = report['num_victims']
    floor = report['floor']['metrics']['reidentified']['mean']
    text = (f'Of {number} pictures, {found["mean"]:.0%} were matched to their originals from what '
            f'"{row["name"]}" recovered (guessing: {1 / number:.0%}).')
    if found['mean'] >= .5:
        text += ' Whoever has candidates can tell which picture this is.'
    elif found['low'] > max(floor, 1 / number):
        text += ' That is more than guessing: pictures leak what tells them apart.'
    else:
        text += ' That is not clearly more than guessing.'
    return [text]


def _structure(rows: Sequence[Mapping], report: Mapping) -> list[str]:
    best = _best(rows, 'ssim')
    if best is None:
        return []
    row, ssim = best
    floor = report['floor']['metrics']['ssim']['mean']
    gained = (ssim['mean'] - floor) / max(1 - floor, 1e-6)
    much = 'much' if gained > .5 else 'part' if gained > .15 else 'little'
    return [f'The best reconstruction ("{row["name"]}") has a structural similarity of '
            f'{ssim["mean"]:.2f} to the plain pictures ({floor:.2f} for one mean picture in place '
            f'of all, 1 for the plain ones; {ssim["worst"]:.2f} for the picture that was recovered '
            f'best): {much} of what lies between has come back.']


def _layout(rows: Sequence[Mapping], report: Mapping) -> list[str]:
    if 'shuffle' not in report['scheme']['name']:
        return ['The patches lie in their order, so the layout of the picture is seen by anybody.']
    best = _best(rows, 'neighbours')
    if best is None:
        return ['How far the order of the patches was found again was not scored: that takes the '
                "owner's key, and an attacker who looks for the order."]
    row, found = best
    if found['mean'] >= .5:
        meaning = 'the shuffling is broken for most of the picture'
    elif found['mean'] >= .1:
        meaning = 'parts of the picture come together again'
    else:
        meaning = 'the order of the patches has held against these solvers'
    return [f'The best solver ("{row["name"]}") put {found["mean"]:.0%} of neighbouring patches '
            f'back beside each other (most in one picture: {found["worst"]:.0%}): {meaning}.']
