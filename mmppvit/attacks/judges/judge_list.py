"""The judges by the key of their column, imported when they are asked for: some need MMDetection.

A judge scores the reconstructions of one attacker, all of them together.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from mmppvit.attacks.attack_data import AttackData
from mmppvit.attacks.runner import AttackSettings

__all__ = ['JUDGES', 'ON_REQUEST', 'Judge', 'JudgeFiles', 'find_judges', 'requested_judges']

JUDGES = {  # in the order of the columns
    'identity': 'mmppvit.attacks.judges.face_identity:FacesRecognized',
    'faces': 'mmppvit.attacks.judges.faces_found:FacesFound',
    'text': 'mmppvit.attacks.judges.text_read:TextRead',
    'ap': 'mmppvit.attacks.judges.detector_ap:VictimDetector',
    'perceptual': 'mmppvit.attacks.judges.perceptual_similarity:PerceptualSimilarity',
}
ON_REQUEST = ('identity', 'faces', 'text', 'perceptual')  # the others: when their files are given


@dataclass(frozen=True)
class JudgeFiles:
    """What the user gives for judges; None and () where it is missing.

    Args:
        detector (Path, optional): Config of a detector of plain images.
        checkpoint (Path, optional): Its weights.
        ann (Sequence[Path]): COCO jsons with the boxes of the plain images.
        judges (str): Names of :data:`ON_REQUEST` separated by commas, 'all', or '' for none.
        models (Path, optional): Folder of the weights that judges need, see
            :func:`mmppvit.attacks.judges.judge_weights.find_weights`.
    """
    detector: Path | None = None
    checkpoint: Path | None = None
    ann: Sequence[Path] = ()
    judges: str = ''
    models: Path | None = None


class Judge(ABC):
    """Scores images; the report reads the score between that of mean images and of plain ones.

    Subclasses set ``title`` and ``digits`` of their column.
    """
    title: str
    digits: int = 3

    @classmethod
    @abstractmethod
    def from_files(cls, settings: AttackSettings, data: AttackData, files: JudgeFiles
                   ) -> Judge | None:
        """The judge of the victims in ``data``; None if the files that it needs were not given.

        Raises:
            ValueError: They do not fit each other or the data.
            FileNotFoundError: One is missing.
        """

    @abstractmethod
    def __call__(self, imgs: Sequence[np.ndarray]) -> dict[str, float]:
        """uint8 (H, W, 3), BGR, one for each victim -> 'mean', 'low' and 'high'.

        Higher means that more was reconstructed; low and high are a 95 % interval.
        """

    def column(self, key: str) -> dict:
        """Of the report."""
        return dict(key=key, title=self.title, digits=self.digits)


def requested_judges(names: str) -> list[str]:
    """Names of :data:`ON_REQUEST`, from ``--judges``.

    Raises:
        ValueError: There is no such judge.
    """
    wanted = list(ON_REQUEST) if names == 'all' else [
        name.strip() for name in names.split(',') if name.strip()]
    unknown = [name for name in wanted if name not in ON_REQUEST]
    if unknown:
        raise ValueError(f'no judge {", ".join(unknown)}: choose from {", ".join(ON_REQUEST)}, or '
                         "'all'")
    return wanted


def find_judges(settings: AttackSettings, data: AttackData, files: JudgeFiles) -> dict[str, Judge]:
    """Those that were asked for, or whose files were given, by key.

    Errors are those of :func:`requested_judges` and :meth:`Judge.from_files`.
    """
    wanted, found = requested_judges(files.judges), {}
    for key, where in JUDGES.items():
        if key in ON_REQUEST and key not in wanted:
            continue
        module, _, kind = where.partition(':')
        judge = getattr(import_module(module), kind).from_files(settings, data, files)
        if judge is not None:
            found[key] = judge
    return found
