"""What tests of reports share: results, and a judge that needs no weights."""
from __future__ import annotations

import numpy as np

from mmppvit.attacks.judges.regions import Region, RegionJudge
from mmppvit.attacks.runner import AttackResult


def result_of(name: str, status: str = 'done', reason: str = '') -> AttackResult:
    return AttackResult(name, f'{name} <i>title</i>', 'nothing', status, reason, 1.5)


class Corners(RegionJudge):
    """Two regions of the first image and one of the second; found where the corner is not black."""
    title = 'faces found'
    what = 'faces found'

    @classmethod
    def from_files(cls, settings, data, files) -> Corners:
        return cls([Region(0, (2., 2., 22., 22.)), Region(0, (30., 10., 50., 40.)),
                    Region(1, (0., 0., 16., 16.))], len(data.victims))

    def scores(self, imgs):
        return np.array([float(imgs[region.victim][:8, :8].any()) * (region.box[0] < 10)
                         for region in self.regions])
