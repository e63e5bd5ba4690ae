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

__all__ = ['JUDGES', 'Judge', 'JudgeFiles', 'find_judges']

JUDGES = {  # in the order of the columns
    'ap': 'mmppvit.attacks.judges.detector_ap:VictimDetector',
}


@dataclass(frozen=True)
class JudgeFiles:
    """What the user gives for judges; None and () where it is missing.

    Args:
        detector (Path, optional): Config of a detector of plain images.
        checkpoint (Path, optional): Its weights.
        ann (Sequence[Path]): COCO jsons with the boxes of the plain images.
    """
    detector: Path | None = None
    checkpoint: Path | None = None
    ann: Sequence[Path] = ()


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


def find_judges(settings: AttackSettings, data: AttackData, files: JudgeFiles) -> dict[str, Judge]:
    """Those whose files were given, by key; errors are those of :meth:`Judge.from_files`."""
    found = {}
    for key, where in JUDGES.items():
        module, _, kind = where.partition(':')
        judge = getattr(import_module(module), kind).from_files(settings, data, files)
        if judge is not None:
            found[key] = judge
    return found
