"""``mmppvit.attacks.report.verdict``: what is said, of figures that are known."""
from __future__ import annotations

from mmppvit.attacks.report import verdict

import pytest


def _metric(mean: float, low: float | None = None, worst: float = 1.) -> dict:
    return dict(mean=mean, low=mean if low is None else low, high=1., worst=worst, worst_index=0)


def _row(name: str, status: str = 'done', **metrics) -> dict:
    return dict(name=name, status=status, metrics=metrics)


def _report(*rows: dict, scheme: str = 'mix') -> dict:
    floor = _row('floor', ssim=_metric(.2), reidentified=_metric(.1))
    return dict(rows=rows, floor=floor, num_victims=20, scheme=dict(name=scheme))


@pytest.mark.parametrize(('mean', 'low', 'said'), [
    (.75, .6, 'Whoever has candidates can tell which picture this is'),
    (.3, .2, 'more than guessing: pictures leak what tells them apart'),
    (.3, .1, 'not clearly more than guessing'),  # its interval reaches the floor
])
def test_recognised(mean, low, said):
    rows = (_row('weak', ssim=_metric(.2), reidentified=_metric(.05)),
            _row('strong', ssim=_metric(.2), reidentified=_metric(mean, low)))
    text = verdict(_report(*rows))[0]
    assert said in text
    assert f'{mean:.0%} were matched' in text
    assert '"strong"' in text
    assert 'guessing: 5%' in text


@pytest.mark.parametrize(('mean', 'said'), [(.62, 'much of'), (.4, 'part of'), (.3, 'little of')])
def test_structure(mean, said):
    text = verdict(_report(_row('itn', ssim=_metric(mean, worst=.7))))[0]
    assert f': {said} what lies between has come back' in text
    assert f'{mean:.2f} to the plain pictures (0.20 for one mean picture' in text
    assert '0.70 for the picture that was recovered best' in text


@pytest.mark.parametrize(('mean', 'said'), [
    (.6, 'is broken for most'), (.2, 'come together again'), (.05, 'held against these solvers')])
def test_layout(mean, said):
    row = _row('jigsaw', ssim=_metric(.2), neighbours=_metric(mean, worst=.9))
    text = verdict(_report(row, scheme='mix+shuffle'))[-1]
    assert said in text
    assert f'put {mean:.0%} of neighbouring patches' in text
    assert 'most in one picture: 90%' in text


def test_order_that_was_not_scored_and_order_that_is_open():
    row = _row('itn', ssim=_metric(.2))
    assert "the owner's key" in verdict(_report(row, scheme='mix+shuffle'))[-1].replace('\n', ' ')
    assert 'layout of the picture is seen by anybody' in verdict(_report(row))[-1]


def test_failures_are_named():
    rows = (_row('itn', ssim=_metric(.2)), _row('gan', 'failed'), _row('vit', 'out of time'),
            _row('fr', 'not for this scheme'))
    assert 'failed: gan, vit.' in verdict(_report(*rows))[-1]
    assert 'says nothing about these pictures' in verdict(_report(*rows[1:]))[0]


@pytest.mark.parametrize('mean', [0., .05, .1])
def test_nothing_is_called_safe(mean):
    row = _row('itn', ssim=_metric(.2), reidentified=_metric(mean), neighbours=_metric(mean))
    text = ' '.join(verdict(_report(row, scheme='mix+shuffle'))).lower()
    for word in ('safe', 'secure', 'anonym', 'protected', 'private'):
        assert word not in text
