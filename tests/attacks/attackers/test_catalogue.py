"""``mmppvit.attacks.attackers.catalogue``: every attacker by its name."""
from __future__ import annotations

import pytest

from mmppvit.attacks import Attacker
from mmppvit.attacks.attackers.catalogue import ATTACKERS, find_attackers
from mmppvit.encryption import make_scheme

SCHEMES = [
    make_scheme('mix'), make_scheme('mix', grid=4), make_scheme('mix', patch_size=32, grid=4),
    make_scheme('shuffle', grid=1), make_scheme('shuffle', grid=1, erode=1, drop=.1),
    make_scheme('mix+shuffle'), make_scheme('mix+center', center_strength=.5),
    make_scheme('mix+center', center_strength=1.),
    make_scheme('mix+center', center_strength=.5, normalize=True),
    make_scheme('mix+center+shuffle', center_strength=.5),
    make_scheme('mix+center+shuffle', center_strength=1., normalize=True, erode=1, drop=.1),
    make_scheme('blur', grid=1, strength=2.), make_scheme('pixelate', grid=1, strength=8.),
    make_scheme('noise', grid=1, strength=20.), make_scheme('downsample'),
    make_scheme('downsample+shuffle'),
]


@pytest.fixture(scope='module')
def attackers() -> dict:
    return find_attackers()


def test_names_are_those_of_the_classes(attackers):
    assert list(attackers) == list(ATTACKERS)
    for name, kind in attackers.items():
        assert kind.name == name
        assert issubclass(kind, Attacker)
        assert kind.learns_from in ('own', 'known', 'scenes')
        for text in (kind.title, kind.needs):
            assert text
            assert '\n' not in text


@pytest.mark.parametrize('scheme', SCHEMES, ids=lambda scheme: f'{scheme.name}-{scheme.side}')
def test_each_says_whether_it_is_for_a_scheme(attackers, scheme):
    """And can be built if it is; there is one at least for every scheme."""
    fit = []
    for name, kind in attackers.items():
        why = kind.not_for(scheme)
        assert why is None or (isinstance(why, str) and why), name
        if why is None:
            assert kind(scheme, 3).seed == 3
            fit.append(name)
    assert len(fit) >= 3


def test_some_by_name():
    assert list(find_attackers('known-plaintext, jigsaw-mgc,jigsaw-mgc')) == [
        'known-plaintext', 'jigsaw-mgc']


@pytest.mark.parametrize('names', ['nobody', 'thumbnail,nobody', '', 'thumbnail,'])
def test_unknown_names(names):
    with pytest.raises(ValueError, match=r'no attacker .*choose from thumbnail, poisson'):
        find_attackers(names)
