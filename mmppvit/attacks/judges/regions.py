"""Judges of parts of images: faces, lines of text."""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmppvit.attacks.judges.judge_list import Judge
from mmppvit.attacks.scoring.share_interval import share_interval

__all__ = ['Box', 'Region', 'RegionJudge', 'overlaps']

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels


@dataclass(frozen=True)
class Region:
    """Something that a judge found on a plain image.

    Args:
        victim (int): Index of the image.
        box (Box): Where it lies, in pixels of the plain image at the sealed scale.
        text (str): What is written there, of lines of text.
    """
    victim: int
    box: Box
    text: str = ''


class RegionJudge(Judge):
    """Finds regions on the plain images, and judges how much of each comes back.

    Subclasses set ``what``, e.g. 'faces found', which follows "3 of 412 ", and give a score
    between 0 and 1 to each region.

    Args:
        regions (Sequence[Region]): Of all victims, at least one.
        count (int): Victims.
        seed (int): Of the bootstrap.
    """
    digits = 3
    what: str

    def __init__(self, regions: Sequence[Region], count: int, seed: int = 0) -> None:
        self.regions, self.count, self.seed = list(regions), count, seed
        self.total = np.bincount([region.victim for region in regions], minlength=count)

    @abstractmethod
    def scores(self, imgs: Sequence[np.ndarray]) -> np.ndarray:
        """uint8 (H, W, 3), BGR, one for each victim -> float (M, ), 0 to 1, one a region."""

    def weights(self) -> np.ndarray:
        """float (M, ): what each region counts."""
        return np.ones(len(self.regions))

    def __call__(self, imgs: Sequence[np.ndarray]) -> dict[str, float]:
        """What :meth:`summarized` makes of :meth:`scores`."""
        return self.summarized(self.scores(imgs))

    def summarized(self, scores: np.ndarray) -> dict[str, float]:
        """Also 'found' and 'of', in units of :meth:`weights`, and 'regions', score by region."""
        weights = self.weights()
        victims = [region.victim for region in self.regions]
        found, total = (np.bincount(victims, values, self.count)
                        for values in (scores * weights, weights))
        low, high = share_interval(found, total, seed=self.seed)
        return dict(mean=float(found.sum() / total.sum()), low=low, high=high,
                    found=round(float(found.sum())), of=round(float(total.sum())),
                    count=int((total > 0).sum()),
                    regions=[round(float(score), 4) for score in scores])

    def column(self, key: str) -> dict:
        return {**super().column(key), 'what': self.what}


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """IoU of boxes (M, 4) and (N, 4), x1, y1, x2, y2 -> (M, N)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    inner = np.prod(np.maximum(high - low, 0), -1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], -1) for boxes in (one, other)]
    return inner / np.maximum(areas[0][:, None] + areas[1] - inner, 1e-9)
