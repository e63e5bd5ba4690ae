"""``mmppvit.attacks.report.verdict``: what is said, of figures that are known."""
from __future__ import annotations

import pytest

from mmppvit.attacks.report import verdict


def _metric(mean: float, low: float | None = None, worst: float = 1.) -> dict:
    return dict(mean=mean, low=mean if low is None else low, high=1., worst=worst, worst_index=0)


def _row(name: str, status: str = 'done', **metrics) -> dict:
    return dict(name=name, status=status, metrics=metrics)


def _report(*rows: dict, scheme: str = 'mix') -> dict:
    floor = _row('floor', ssim=_metric(.2), reidentified=_metric(.1))
    untouched = _row('sealed, as it is', ssim=_metric(.25), reidentified=_metric(.1),
                     neighbors=_metric(.02), ap=_metric(.15))
    return dict(rows=rows, floor=floor, num_victims=20, scheme=dict(name=scheme),
                as_it_is=untouched, ceiling=_row('ceiling', ap=_metric(.6)))


@pytest.mark.parametrize(('mean', 'low', 'said'), [
    (.75, .6, 'Whoever has candidates can tell which image this is'),
    (.3, .2, 'more than guessing: images leak what tells them apart'),
    (.3, .1, 'not clearly more than guessing'),  # its interval reaches the floor
])
def test_recognized(mean, low, said):
    rows = (_row('weak', ssim=_metric(.3), reidentified=_metric(.05)),
            _row('strong', ssim=_metric(.3), reidentified=_metric(mean, low)))
    text = verdict(_report(*rows))[0]
    assert said in text
    assert f'{mean:.0%} were matched' in text
    assert '"strong"' in text
    assert 'guessing: 5%' in text


@pytest.mark.parametrize(('mean', 'said'), [(.62, 'much of'), (.4, 'part of'), (.3, 'little of')])
def test_structure(mean, said):
    text = verdict(_report(_row('itn', ssim=_metric(mean, worst=.7))))[0]
    assert f': {said} what lies between has come back' in text
    assert f'{mean:.2f} to the plain images (0.20 for one mean image' in text
    assert '0.70 for the image that was reconstructed best' in text


@pytest.mark.parametrize(('mean', 'said'), [
    (.6, 'is broken for most'), (.2, 'come together again'), (.05, 'held against these solvers')])
def test_layout(mean, said):
    row = _row('jigsaw', ssim=_metric(.3), neighbors=_metric(mean, worst=.9))
    text = verdict(_report(row, scheme='mix+shuffle'))[-1]
    assert said in text
    assert f'put {mean:.0%} of neighboring patches' in text
    assert 'most in one image: 90%' in text


def test_order_that_was_not_scored_and_order_that_is_open():
    row = _row('itn', ssim=_metric(.2))
    assert "the owner's key" in verdict(_report(row, scheme='mix+shuffle'))[-1].replace('\n', ' ')
    assert 'layout of the image is seen by anybody' in verdict(_report(row))[-1]


def test_failures_are_named():
    rows = (_row('itn', ssim=_metric(.2)), _row('gan', 'failed'), _row('vit', 'out of time'),
            _row('fr', 'not for this scheme'))
    assert 'failed: gan, vit.' in verdict(_report(*rows))[-1]
    assert 'says nothing about these images' in verdict(_report(*rows[1:]))[0]


def test_a_photograph_of_the_scene_counts_where_nobody_else_came_to_an_end():
    scene = dict(_row('known-scene', placed=_metric(.61)), learns_from='scenes')
    said = verdict(_report(_row('vit', 'out of time'), scene, scheme='mix+shuffle'))
    assert 'says nothing about what they get' in said[0]
    assert '"known-scene" put 61% of the patches in place' in said[1]
    assert 'failed: vit.' in said[2]
    del scene['metrics']['placed']
    assert "not scored: that takes the owner's key" in verdict(_report(scene))[1]


def test_a_detector():
    rows = (_row('itn', ssim=_metric(.4), ap=_metric(.3)), _row('fr', ssim=_metric(.5)))
    text = verdict(_report(*rows))[1]
    assert 'finds 0.30 on what "itn" reconstructed, and 0.60 on the originals' in text
    assert '50% of that has come back' in text
    assert not any('detector' in said for said in verdict(_report(rows[1])))


def test_a_detector_that_finds_nothing_on_the_originals_says_nothing():
    report = _report(_row('itn', ssim=_metric(.4), ap=_metric(.01)))
    report['ceiling']['metrics']['ap'] = _metric(.012)
    text = verdict(report)[1]
    assert 'next to nothing on the originals themselves (AP 0.01)' in text
    assert 'come back' not in text


def test_doing_nothing_may_be_the_best_attack():
    row = _row('gan', ssim=_metric(.22), reidentified=_metric(.05), neighbors=_metric(.01),
               ap=_metric(.1))
    said = verdict(_report(row, scheme='mix+shuffle'))
    assert '10% were matched to their originals from the sealed images as they are' in said[0]
    assert 'No attacker came closer than the sealed images as they are, which have a' in said[1]
    assert 'similarity of 0.25' in said[1]
    assert 'finds 0.15 on the sealed images as they are, without any attack' in said[2]
    assert 'than lie there in the sealed images as they are, 2%' in said[3]
    assert not any('"gan"' in text for text in said)


def test_attackers_that_are_clearly_worse_than_doing_nothing_are_named():
    """Not those whose interval reaches what doing nothing gets."""
    clearly = {**_metric(.2), 'high': .24}
    rows = (_row('itn', ssim=_metric(.6), ap={**_metric(.1), 'high': .12}),
            _row('gan', ssim=clearly), _row('vit', ssim={**_metric(.2), 'high': .26}))
    text = verdict(_report(*rows))[-1]
    assert 'in SSIM (0.250) gan; in AP (0.150) itn.' in text
    assert not any('doing nothing' in said for said in verdict(_report(rows[2])))


@pytest.mark.parametrize('mean', [0., .05, .1])
def test_nothing_is_called_safe(mean):
    row = _row('itn', ssim=_metric(.2), reidentified=_metric(mean), neighbors=_metric(mean))
    text = ' '.join(verdict(_report(row, scheme='mix+shuffle'))).lower()
    for word in ('safe', 'secure', 'anonym', 'protected', 'private'):
        assert word not in text


def test_who_was_still_learning_is_named():
    rows = [_row(name, ssim=_metric(.3), reidentified=_metric(.1)) | dict(curve=curve)
            for name, curve in dict(vit=[(40, 1.), (80, .9)], itn=[(40, 1.), (80, .99)],
                                    gan=[(40, 1.)], fr=[]).items()]
    said = [text for text in verdict(_report(*rows)) if 'time' in text]
    assert said == [
        'Still learning when the time was up: vit (40 to 80 s: error lower by 10%). With more time '
        'they get further: by 10 times the time vit from 0.900 to 0.634 at best.',
        'Whether more time helps was not tried for gan: --longest does.']
