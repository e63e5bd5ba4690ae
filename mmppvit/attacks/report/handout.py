"""The result in one paragraph, for whoever has to decide and was not there."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ['handout']


def handout(report: Mapping) -> str:
    """What was attacked, how long, by whom, and what came back, without any word of judgement.

    Args:
        report (Mapping): As ``report.json``, with its verdict left out.
    """
    done = [row for row in report['rows'] if row['status'] == 'done']
    failed = [row['name'] for row in report['rows'] if row['status'] in ('failed', 'out of time')]
    seconds = sum(row['seconds'] for row in done)
    said = [f'On {report["how"]["date"]}, {report["num_victims"]} images of the data set '
            f'"{report["sealed"]}", encrypted by {report["scheme_text"]}, were attacked by '
            f'{len(done)} attacker{"s" * (len(done) != 1)} for {_duration(seconds)} in all. An '
            f'attacker knows the method, has {report["num_pairs"]} similar images, and does not '
            'have the key.']
    if not done:
        return said[0] + ' None of them came to an end, so nothing is known of what leaks.'
    said += _counted(report, done)
    said += _measured(report, done)
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
            said.append(f'{found["found"]} of {found["of"]} {column["what"]} on the best '
                        f'reconstruction ({row["name"]}), {plain} on the plain images (95% '
                        f'interval {found["low"]:.1%} to {found["high"]:.1%}).')
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


def _furthest(report: Mapping, done: Sequence[Mapping], key: str) -> Mapping:
    rows = [row for row in [*done, report['as_it_is']] if key in row['metrics']]
    return max(rows, key=lambda row: row['metrics'][key]['mean'])
