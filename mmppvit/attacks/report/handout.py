"""The result in one paragraph, for whoever has to decide and was not there."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmppvit.attacks.report.verdict import counts

__all__ = ['handout']


def handout(report: Mapping) -> str:
    """What was attacked, how long, by whom, and what came back, without any word of judgement.

    Args:
        report (Mapping): As ``report.json``, with its verdict left out.
    """
    done = [row for row in report['rows'] if row['status'] == 'done']
    scenes = [row for row in done if row.get('learns_from') == 'scenes']
    others = [row for row in done if row not in scenes]
    failed = [row['name'] for row in report['rows'] if row['status'] in ('failed', 'out of time')]
    said = [f'On {report["how"]["date"]}, {report["num_victims"]} images of the data set '
            f'"{report["sealed"]}", encrypted by {report["scheme_text"]}, were attacked by '
            f'{len(done)} attacker{"s" * (len(done) != 1)} for '
            f'{_duration(sum(row["seconds"] for row in done))} in all. An attacker knows the '
            f'method, has {report["num_pairs"]} similar images, and does not have the key.']
    if not done:
        return said[0] + ' None of them came to an end, so nothing is known of what leaks.'
    if not others:
        said.append('No attacker without a photograph of the same view came to an end, so nothing '
                    'is known of what they get.')
    said += _counted(report, others)
    said += _measured(report, others)
    said += [_by_scene(report, row) for row in scenes]
    if failed:
        said.append(f'Not counted are attacks that failed: {", ".join(failed)}.')
    said.append('Attackers with more time, more images or better methods may get further; boxes, '
                'labels, names and sizes are not encrypted by this and were not tested. Nobody may '
                'conclude from these figures that the images are anonymous.')
    return ' '.join(said)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f'{seconds:.0f} seconds'
    return f'{seconds / 60:.0f} minutes' if seconds < 7200 else f'{seconds / 3600:.1f} hours'


def _counted(report: Mapping, done: Sequence[Mapping]) -> list[str]:
    """Faces and writing."""
    said = []
    for column in report['columns']:
        if 'what' in column:
            row = _furthest(report, done, column['key'])
            found = row['metrics'][column['key']]
            plain = report['ceiling']['metrics'][column['key']]['found']
            best = f'the best reconstruction ({row["name"]})' if found['mean'] else \
                'any of these reconstructions'
            said.append(f'{found["found"]} of {found["of"]} {column["what"]} on {best}, {plain} on '
                        f'the plain images (95% interval {found["low"]:.1%} to '
                        f'{found["high"]:.1%}).')
    return said


def _measured(report: Mapping, done: Sequence[Mapping]) -> list[str]:
    row = _furthest(report, done, 'reidentified')
    found = row['metrics']['reidentified']['mean'] * report['num_victims']
    said = [f'{found:.0f} of {report["num_victims"]} images were matched to their originals '
            f'({row["name"]}; guessing: 1).']
    if any('neighbors' in row['metrics'] for row in done):
        row = _furthest(report, done, 'neighbors')
        said.append(f'{row["metrics"]["neighbors"]["mean"]:.0%} of neighboring patches were put '
                    f'side by side again ({row["name"]}).')
    return said


def _by_scene(report: Mapping, row: Mapping) -> str:
    """What another photograph of each view gives away, which most attackers do not have."""
    found = row['metrics']
    said = [f'{found["reidentified"]["mean"] * report["num_victims"]:.0f} of '
            f'{report["num_victims"]} images were matched to their originals']
    if 'placed' in found:
        said.append(f'{found["placed"]["mean"]:.0%} of the patches were put in place')
    told = ', '.join([*said, *counts(row, report)])
    return ('With another photograph of the view of every image, as of a fixed camera: '
            f'{told} ({row["name"]}).')


def _furthest(report: Mapping, done: Sequence[Mapping], key: str) -> Mapping:
    rows = [row for row in [*done, report['as_it_is']] if key in row['metrics']]
    return max(rows, key=lambda row: row['metrics'][key]['mean'])
