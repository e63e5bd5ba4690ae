"""What the figures of a report mean, in plain words."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmppvit.attacks.runner import FURTHER, extrapolated, has_settled

__all__ = ['LEAST_AP', 'counts', 'verdict']

LEAST_AP = .05  # of the originals; a detector that finds less is no measure of anything


def verdict(report: Mapping) -> list[str]:
    """Sentences for whoever has to decide whether these images may be handed over.

    Only what the best attacker reached counts, or what the sealed images show as they are, and
    what was measured is said beside it: nothing is called safe. That no attacker here got far says
    nothing about a better one.

    Args:
        report (Mapping): As ``report.json``, with its rows and what they are read against.
    """
    done = [row for row in report['rows'] if row['status'] == 'done']
    rows = [row for row in done if row.get('learns_from') != 'scenes']
    if not done:
        return ['No attacker came to an end: this report says nothing about these images.']
    if rows:
        sentences = [*_judged(rows, report), *_recognized(rows, report), *_structure(rows, report),
                     *_detected(rows, report), *_layout(rows, report), *_useless(rows, report),
                     *_learning(rows)]
    else:
        sentences = ['No attacker without a photograph of the same view came to an end: this '
                     'report says nothing about what they get.']
    sentences += _known_scene([row for row in done if row not in rows], report)
    failed = [row['name'] for row in report['rows'] if row['status'] in ('failed', 'out of time')]
    if failed:
        sentences.append(f'Not counted, because they failed: {", ".join(failed)}. What they would '
                         'have reconstructed is unknown.')
    return sentences


def _best(rows: Sequence[Mapping], report: Mapping, metric: str
          ) -> tuple[Mapping, Mapping] | None:
    """The row that got furthest, and its figures; None if no attacker has the metric.

    It is that of the sealed images as they are, where no attacker got more.
    """
    scored = [row for row in rows if row['metrics'].get(metric)]
    if not scored:
        return None
    untouched = report['as_it_is']
    row = max([*[untouched] * (metric in untouched['metrics']), *scored],
              key=lambda row: row['metrics'][metric]['mean'])
    return row, row['metrics'][metric]


def _source(row: Mapping, report: Mapping) -> str:
    return ('the sealed images as they are, without any attack' if row is report['as_it_is']
            else f'what "{row["name"]}" reconstructed')


def _judged(rows: Sequence[Mapping], report: Mapping) -> list[str]:
    """Faces and writing: counts of the best attacker, of no attack, and of one mean image."""
    said = []
    for column in report.get('columns', ()):
        best = _best(rows, report, column['key']) if 'what' in column else None
        if best is None:
            continue
        row, found = best
        floor = report['floor']['metrics'][column['key']]
        where = f'on {_source(row, report)}' if found['mean'] else (
            'on any of these reconstructions, or on the sealed images as they are')
        text = (f'{found["found"]} of {found["of"]} {column["what"]} {where}: '
                f'{found["mean"]:.1%} (95% interval {found["low"]:.1%} to {found["high"]:.1%}; one '
                f'mean image in place of all: {floor["found"]}).')
        if found['mean'] >= .5:
            text += ' Most of them come back.'
        elif found['low'] > floor['mean']:
            text += ' That is more than nothing: some of them come back.'
        said.append(text)
    return said


def counts(row: Mapping, report: Mapping) -> list[str]:
    """Faces and writing on the reconstructions of one attacker: '5 of 36 faces found', ..."""
    columns = [column for column in report.get('columns', ())
               if 'what' in column and column['key'] in row['metrics']]
    found = [row['metrics'][column['key']] for column in columns]
    return [f'{value["found"]} of {value["of"]} {column["what"]}'
            for column, value in zip(columns, found, strict=True)]


def _recognized(rows: Sequence[Mapping], report: Mapping) -> list[str]:
    best = _best(rows, report, 'reidentified')
    if best is None:
        return []
    row, found = best
    number = report['num_victims']
    floor = report['floor']['metrics']['reidentified']['mean']
    text = (f'Of {number} images, {found["mean"]:.0%} were matched to their originals from '
            f'{_source(row, report)} (guessing: {1 / number:.0%}).')
    if found['mean'] >= .5:
        text += ' Whoever has candidates can tell which image this is.'
    elif found['low'] > max(floor, 1 / number):
        text += ' That is more than guessing: images leak what tells them apart.'
    else:
        text += ' That is not clearly more than guessing.'
    return [text]


def _structure(rows: Sequence[Mapping], report: Mapping) -> list[str]:
    best = _best(rows, report, 'ssim')
    if best is None:
        return []
    row, ssim = best
    floor = report['floor']['metrics']['ssim']['mean']
    gained = (ssim['mean'] - floor) / max(1 - floor, 1e-6)
    much = 'much' if gained > .5 else 'part' if gained > .15 else 'little'
    subject = ('No attacker came closer than the sealed images as they are, which have'
               if row is report['as_it_is'] else f'The best reconstruction ("{row["name"]}") has')
    return [f'{subject} a structural similarity of '
            f'{ssim["mean"]:.2f} to the plain images ({floor:.2f} for one mean image in place '
            f'of all, 1 for the plain ones; {ssim["worst"]:.2f} for the image that was '
            f'reconstructed best): {much} of what lies between has come back.']


def _detected(rows: Sequence[Mapping], report: Mapping) -> list[str]:
    best = _best(rows, report, 'ap')
    if best is None:
        return []
    row, found = best
    plain = report['ceiling']['metrics']['ap']['mean']
    if plain < LEAST_AP:
        return [f'The detector finds next to nothing on the originals themselves (AP {plain:.2f}), '
                'so what it finds on reconstructed images says nothing: give one that was trained '
                'on plain images like these.']
    return [f'A detector of plain images finds {found["mean"]:.2f} on {_source(row, report)}, '
            f'and {plain:.2f} on the originals (average precision, 0 to 1): '
            f'{found["mean"] / plain:.0%} of that has come back.']


def _layout(rows: Sequence[Mapping], report: Mapping) -> list[str]:
    if 'shuffle' not in report['scheme']['name']:
        return ['The patches lie in their order, so the layout of the image is seen by anybody.']
    best = _best(rows, report, 'neighbors')
    if best is None:
        return ['How far the order of the patches was found again was not scored: that takes the '
                "owner's key, and an attacker who looks for the order."]
    row, found = best
    if found['mean'] >= .5:
        meaning = 'the shuffling is broken for most of the image'
    elif found['mean'] >= .1:
        meaning = 'parts of the image come together again'
    else:
        meaning = 'the order of the patches has held against these solvers'
    if row is report['as_it_is']:
        return [f'No solver put more patches beside their neighbors than lie there in the sealed '
                f'images as they are, {found["mean"]:.0%}: {meaning}.']
    return [f'The best solver ("{row["name"]}") put {found["mean"]:.0%} of neighboring patches '
            f'back beside each other (most in one image: {found["worst"]:.0%}): {meaning}.']


def _learning(rows: Sequence[Mapping]) -> list[str]:
    """Whether time was the reason that attackers got no further."""
    said, curves = [], {row['name']: row['curve'] for row in rows if row.get('curve')}
    unfinished = {name: curve for name, curve in curves.items()
                  if len(curve) > 1 and not has_settled(curve)}
    once = [name for name, curve in curves.items() if len(curve) == 1]
    if unfinished:
        gains = ', '.join(f'{name} ({curve[-2][0]:.0f} to {curve[-1][0]:.0f} s: error lower by '
                          f'{1 - curve[-1][1] / curve[-2][1]:.0%})'
                          for name, curve in unfinished.items())
        said.append(f'Still learning when the time was up: {gains}. With more time they get '
                    f'further{_further(unfinished)}.')
    if once:
        said.append(f'Whether more time helps was not tried for {", ".join(once)}: --longest does.')
    return said


def _further(curves: Mapping[str, Sequence]) -> str:
    ends = {name: extrapolated(curve, FURTHER) for name, curve in curves.items()}
    said = [f'{name} from {curves[name][-1][1]:.3f} to {end:.3f} at best'
            for name, end in ends.items() if end is not None]
    return f': by {FURTHER} times the time {", ".join(said)}' if said else ''


def _known_scene(rows: Sequence[Mapping], report: Mapping) -> list[str]:
    """Attackers that have a photograph of the victim's own view are a case of their own."""
    said = []
    for row in rows:
        found, counted = row['metrics'], ', '.join(counts(row, report))
        text = f'Given another photograph of the same view, "{row["name"]}"'
        if 'placed' in found:
            placed = found['placed']['mean']
            held = 'that finds little' if placed < .1 else \
                'the shuffling does not protect images of which someone has such a photograph'
            counted = counted and f' ({counted})'
            said.append(f'{text} put {placed:.0%} of the patches in place{counted}: {held}.')
        else:
            said.append(f'{text} came to its end: {counted or "nothing was counted"}. How many '
                        "patches it put in place was not scored: that takes the owner's key.")
    return said


def _useless(rows: Sequence[Mapping], report: Mapping) -> list[str]:
    """Attackers that did not work are not to be taken for a scheme that held.

    Named are those whose whole interval lies below the figure of the sealed images as they are.
    """
    said = []
    for metric, title in (('ssim', 'SSIM'), ('ap', 'AP')):
        mean = report['as_it_is']['metrics'].get(metric, {}).get('mean', 0.)
        names = [row['name'] for row in rows
                 if row['metrics'].get(metric, {}).get('high', mean) < mean]
        if names:
            said.append(f'in {title} ({mean:.3f}) {", ".join(names)}')
    return ['Clearly worse than doing nothing, which is to look at the sealed images as they '
            f'are, {"; ".join(said)}. Such an attacker did not work here, and says nothing about '
            'the scheme.'] if said else []
