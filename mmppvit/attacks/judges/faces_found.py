"""How many of the faces of plain images are found on reconstructed ones."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from mmppvit.attacks.attack_data import AttackData
from mmppvit.attacks.judges.face_detector import CenterFace
from mmppvit.attacks.judges.judge_list import JudgeFiles
from mmppvit.attacks.judges.judge_weights import find_weights
from mmppvit.attacks.judges.regions import Region, RegionJudge, overlaps
from mmppvit.attacks.runner import AttackSettings

__all__ = ['FacesFound', 'find_faces', 'found_again']

_SAME_PLACE = .4  # IoU from which on a box is that of a face


class FacesFound(RegionJudge):
    """Share of the faces that a detector finds in their place again.

    What counts as a face is what the same detector finds on the plain image at the sealed scale.

    Args:
        detect (Callable): uint8 (H, W, 3), BGR -> float (N, 5), x1, y1, x2, y2 and score.
        plain (Sequence[ndarray]): The victims.
        seed (int): Of the bootstrap.

    Raises:
        ValueError: There is no face on them.
    """
    title = 'faces found'
    what = 'faces found'

    @classmethod
    def from_files(cls, settings: AttackSettings, data: AttackData, files: JudgeFiles
                   ) -> FacesFound:
        cv2.setNumThreads(settings.threads)
        detect = CenterFace(find_weights('centerface.onnx', files.models))
        return cls(detect, [victim.plain for victim in data.victims], settings.seed)

    def __init__(self, detect: Callable[[np.ndarray], np.ndarray], plain: Sequence[np.ndarray],
                 seed: int = 0) -> None:
        self.detect = detect
        super().__init__(find_faces(detect, plain), len(plain), seed)

    def scores(self, imgs: Sequence[np.ndarray]) -> np.ndarray:
        return found_again(self.detect, self.regions, imgs).astype(float)


def find_faces(detect: Callable[[np.ndarray], np.ndarray], plain: Sequence[np.ndarray],
               least: float = 0.) -> list[Region]:
    """Faces whose sides have at least ``least`` pixels.

    Raises:
        ValueError: There is none.
    """
    regions = [Region(victim, tuple(round(float(value), 1) for value in box[:4]))
               for victim, img in enumerate(plain) for box in detect(img)
               if min(box[2] - box[0], box[3] - box[1]) >= least]
    if not regions:
        size = f' of at least {least:g} pixels' if least else ''
        raise ValueError(f'there is no face{size} on the {len(plain)} plain images, so the judges '
                         'of faces have nothing to judge: leave faces and identity out of --judges')
    return regions


def found_again(detect: Callable[[np.ndarray], np.ndarray], regions: Sequence[Region],
                imgs: Sequence[np.ndarray]) -> np.ndarray:
    """bool (M, ): which faces are detected in their place; no box counts for two of them."""
    found = np.zeros(len(regions), bool)
    for victim, img in enumerate(imgs):
        own = [k for k, region in enumerate(regions) if region.victim == victim]
        if own:
            iou = overlaps(np.array([regions[k].box for k in own]), detect(img)[:, :4])
            face, box = linear_sum_assignment(iou, maximize=True)
            found[np.array(own)[face]] = iou[face, box] >= _SAME_PLACE
    return found
