"""Faces and lines of text on the page: plain beside the best reconstruction, worst cases first."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mmppvit.attacks.attack_data import AttackData
from mmppvit.attacks.attackers.interface import Reconstruction
from mmppvit.attacks.judges.judge_list import Judge
from mmppvit.attacks.judges.regions import Box, Region, RegionJudge
from mmppvit.attacks.scoring.scores import as_it_is

__all__ = ['Crop', 'CropGroup', 'crop_groups']

_AROUND = .35  # of the height of a region, on each side
_HEIGHT, _WIDEST = 96, 320  # pixels of a crop on the page


@dataclass(frozen=True)
class Crop:
    """One region.

    Args:
        name (str): Of the plain file.
        plain, sealed, best (ndarray): uint8 BGR: plain, as it lies in the sealed file, and of the
            attacker that got furthest with it.
        caption (str): Which attacker that is, and the score.
    """
    name: str
    plain: np.ndarray
    sealed: np.ndarray
    best: np.ndarray
    caption: str


@dataclass(frozen=True)
class CropGroup:
    """Crops of one judge: its ``title``, how many of ``total`` regions came back, and ``crops``."""
    title: str
    back: int
    total: int
    crops: Sequence[Crop]


def crop_groups(data: AttackData, report: Mapping,
                reconstructed: Mapping[str, Sequence[Reconstruction]],
                judges: Mapping[str, Judge], count: int = 8) -> list[CropGroup]:
    """For each judge of regions those of which most came back, then the largest.

    Args:
        data (AttackData): The victims.
        report (Mapping): Of :func:`mmppvit.attacks.report.build.build_report`.
        reconstructed (Mapping): By name of the attacker, one reconstruction for each victim.
        judges (Mapping): By the key of their column.
        count (int): Regions of each judge, at most.
    """
    rows = [row for row in report['rows'] if row['name'] in reconstructed]
    if not rows:
        return []
    return [_group(data, rows, reconstructed, key, judge, count)
            for key, judge in judges.items() if isinstance(judge, RegionJudge)]


def _group(data: AttackData, rows: Sequence[Mapping],
           reconstructed: Mapping[str, Sequence[Reconstruction]], key: str, judge: RegionJudge,
           count: int) -> CropGroup:
    # Of attackers that got equally far the one with the best image is shown.
    rows = sorted(rows, key=lambda row: -row['metrics']['ssim']['mean'])
    scores = np.array([row['metrics'][key]['regions'] for row in rows])
    best, by = scores.max(0), scores.argmax(0)
    order = sorted(range(len(best)), key=lambda k: (-best[k], -_area(judge.regions[k].box)))
    crops = []
    for k in order[:count]:
        region, name = judge.regions[k], rows[by[k]]['name']
        victim = data.victims[region.victim]
        images = [_cut_out(img, region) for img in (
            victim.plain, as_it_is(victim).img, reconstructed[name][region.victim].img)]
        crops.append(Crop(victim.name, *images, f'best attack: {name}, {best[k]:.0%}'))
    return CropGroup(judge.title, int((best >= .5).sum()), len(best), crops)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _cut_out(img: np.ndarray, region: Region) -> np.ndarray:
    x1, y1, x2, y2 = region.box
    margin = _AROUND * (y2 - y1)
    low = [max(int(value - margin), 0) for value in (x1, y1)]
    high = [int(np.ceil(value + margin)) for value in (x2, y2)]
    crop = img[low[1]:high[1], low[0]:high[0]]
    scale = min(_HEIGHT / crop.shape[0], _WIDEST / crop.shape[1])
    size = [max(round(side * scale), 1) for side in crop.shape[1::-1]]
    return cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
