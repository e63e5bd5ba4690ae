"""The paragraph to hand on, and the verdict beside it, of what nobody finds and of other views."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmppvit.attacks.attackers.interface import Reconstruction
from mmppvit.attacks.report import build_report
from tests.attacks.failing import Honest
from tests.attacks.report.cases import Corners, result_of


class Exact(Corners):
    """What is not the plain image to the bit is not found."""

    def scores(self, imgs):
        return np.array([float(np.array_equal(imgs[region.victim], self.plain[region.victim]))
                         for region in self.regions])


def test_what_nobody_found_is_said_of_nobody(sealed):
    settings = sealed.settings('mix')
    data = settings.load()
    judge = Exact.from_files(settings, data, None)
    judge.plain = [victim.plain for victim in data.victims]
    reconstructed = {'honest': [Honest(data.scheme).reconstruct(victim.encrypted)
                                for victim in data.victims]}
    report = build_report(settings, data, [result_of('honest')], reconstructed, dict(faces=judge))
    assert report['verdict'][0].startswith(
        '0 of 3 faces found on any of these reconstructions, or on the sealed images as they '
        'are: 0.0%')
    assert ('0 of 3 faces found on any of these reconstructions, 3 on the plain images'
            in report['handout'])


@pytest.mark.parametrize('alone', [False, True])
def test_another_photograph_of_the_view_is_told_apart(sealed, alone):
    """Most attackers have none, so what it gives away is no figure of theirs."""
    settings = sealed.settings('mix+shuffle', key_file=str(sealed.key_file))
    data = settings.load()
    judge = Exact.from_files(settings, data, None)
    judge.plain = [victim.plain for victim in data.victims]
    made = {'known-scene': [Reconstruction(victim.plain, victim.order) for victim in data.victims]}
    results = [replace(result_of('known-scene'), learns_from='scenes')]
    if not alone:
        made['honest'] = [Reconstruction(np.zeros_like(victim.plain), victim.order[::-1])
                          for victim in data.victims]
        results.append(result_of('honest'))
    report = build_report(settings, data, results, made, dict(faces=judge))
    said, _, by_scene = report['handout'].partition(' With another photograph of the view of ')
    count = len(data.victims)
    assert 'known-scene' not in said
    assert ' 0 of 3 faces found on any of these reconstructions, 3 on the plain images' in said
    assert ('nothing is known of what they get' in said) == alone
    assert by_scene.startswith(
        f'every image, as of a fixed camera: {count} of {count} images were matched to their '
        'originals, 100% of the patches were put in place, 3 of 3 faces found (known-scene).')
    assert 'put 100% of the patches in place (3 of 3 faces found): ' in report['verdict'][-1]
