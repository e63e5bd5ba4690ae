"""How much a scheme hides: a fixed ranking, or what attackers got."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmppvit.plan.choices import PLAIN, Candidate

__all__ = ['LEVELS', 'hidden_by_rank', 'hidden_by_reports', 'why_hidden']

# From what attackers got of each (docs/results.md): level and why.
LEVELS: Mapping[str, tuple[int, str]] = {
    PLAIN: (0, 'hides nothing'),
    'shuffle': (1, 'a jigsaw solver puts it together'),
    'downsample': (1, 'shows the scene at a lower resolution'),
    'downsample+shuffle': (1, 'a jigsaw solver puts most of it together'),
    'pixelate': (1, 'shows the scene, and networks sharpen it'),
    'blur': (1, 'shows the scene, and networks sharpen it'),
    'noise': (1, 'shows the scene, and networks remove the noise'),
    'mix': (2, 'shows the layout and a thumbnail'),
    'mix+center': (3, 'shows the layout'),
    'mix+shuffle': (4, 'no attacker put it together; colors of patches remain'),
    'mix+center+shuffle': (5, 'no attacker put it together, and colors are gone'),
}
_WITHOUT_CENTERING = {'mix+center': 'mix', 'mix+center+shuffle': 'mix+shuffle'}


def _level(candidate: Candidate) -> tuple[int, str]:
    name = candidate.name
    if name in _WITHOUT_CENTERING and candidate.strength < 1:
        name = _WITHOUT_CENTERING[name]  # attackers scale the means that are left up again
    return LEVELS.get(name, (0, 'was not attacked here'))


def hidden_by_rank(candidate: Candidate) -> float:
    """Level of the scheme, plus less than one level for what grid and patch average away.

    Within a level, the larger grid hides more, then the larger patch. The number is good for an
    order and no measure.
    """
    level, _ = _level(candidate)
    if candidate.plain:
        return 0.
    return level + min(candidate.grid, 64) / 100 + min(candidate.patch_size, 64) / 100_000


def why_hidden(candidate: Candidate) -> str:
    """In a few words, what the level of a candidate stands for."""
    return _level(candidate)[1]


def hidden_by_reports(candidates: Sequence[Candidate], folder: Path) -> dict[Candidate, float]:
    """1 less the mean success of the best attacks, of each candidate that ``folder`` has.

    Args:
        candidates (Sequence[Candidate]): Plain images need no report; they hide 0.
        folder (Path): Reports of ``mmppvit attack`` as ``NAME/report.json``; NAME is the label of
            the candidate with ``_`` in place of blanks ('mix+shuffle_P16_g2'), or the scheme's name
            if only one candidate has it.

    Raises:
        FileNotFoundError: There is no such folder, or no report in it is of a candidate.
        ValueError: A report cannot be read.
    """
    from mmppvit.attacks.comparison.reading import read_point
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder of reports {folder}: `mmppvit attack --out '
                                f'{folder}/NAME` writes them')
    names = [candidate.name for candidate in candidates]
    found = {}
    for candidate in candidates:
        paths = [folder / candidate.label.replace(' ', '_')]
        if names.count(candidate.name) == 1:
            paths.append(folder / candidate.name)
        path = next((path for path in paths if (path / 'report.json').is_file()), None)
        if candidate.plain:
            found[candidate] = 0.
        elif path is not None:
            success = read_point(candidate.label, path, '0').vector.values()
            found[candidate] = 1 - sum(success) / max(len(success), 1)
    if not any(not candidate.plain for candidate in found):
        raise FileNotFoundError(f'{folder} has no report of a candidate: name the folders '
                                f'{", ".join(c.label.replace(" ", "_") for c in candidates[:3])}')
    return found
