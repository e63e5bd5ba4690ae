"""A learned scheme: what a manifest has of it, and what it asks for before it encrypts."""
from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mmppvit.encryption import LEARNED, LearnedScheme, Scheme, make_scheme, read_scheme

PRINT = '0123456789abcdef' * 2
SETTINGS = dict(arch=dict(channels=[4, 8], downscale=1), in_channels=3, norm='BN')


def _negative(img: np.ndarray) -> np.ndarray:
    return 255 - img


def test_it_applies_the_network_and_keeps_the_size():
    scheme = LearnedScheme(protector=PRINT, protect=_negative)
    img = np.random.default_rng(0).integers(0, 256, (37, 21, 3), np.uint8)
    made = scheme.encrypt(img)
    assert (made.img == 255 - img).all()
    assert (made.order, made.nonce) == (None, None)
    assert not any((scheme.mixes, scheme.shuffles, scheme.centers, scheme.shrinks,
                    scheme.restorable))


def test_padding_to_patches_comes_after_the_network():
    img = np.full((16, 17, 3), 5, np.uint8)
    made = LearnedScheme(patch_size=16, protector=PRINT, protect=_negative).encrypt(img).img
    assert made.shape == (16, 32, 3)
    assert (made[:, :17] == 250).all()
    assert not made[:, 17:].any()


def test_a_manifest_has_everything_but_the_network():
    scheme = LearnedScheme(protector=PRINT, unet=SETTINGS, detector='f' * 32, protect=_negative)
    data = json.loads(json.dumps(scheme.to_dict()))
    found = read_scheme(data)
    assert isinstance(found, LearnedScheme)
    assert found == scheme
    assert hash(found) == hash(scheme)
    assert found.protect is None
    assert found != replace(scheme, protector='0' * 32)
    with pytest.raises(ValueError, match=f'needs the protector of fingerprint {PRINT}'):
        found.encrypt(np.zeros((16, 16, 3), np.uint8))


def test_other_schemes_have_no_new_fields():
    assert set(Scheme().to_dict()) == {'name', 'patch_size', 'grid', 'center_strength', 'normalize',
                                       'erode', 'drop'}
    assert set(make_scheme('blur', grid=1, strength=2).to_dict()) - set(Scheme().to_dict()) == {
        'strength'}


@pytest.mark.parametrize(('options', 'message'), [
    (dict(protector=''), 'protector must be a fingerprint of 32 hex digits'),
    (dict(protector='A' * 32), 'protector must be a fingerprint'),
    (dict(protector=3), 'protector must be of type str'),
    (dict(detector='abc'), 'detector must be a fingerprint'),
    (dict(unet=[1]), 'unet must be of type dict'),
    (dict(grid=2, patch_size=16), 'does not mix, so grid must be 1'),
    (dict(center_strength=.5), 'does not center'),
    (dict(drop=.5), 'does not shuffle'),
    (dict(name='mix'), r"no scheme 'mix': choose one of \['learned'\]"),
])
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LearnedScheme(**{'protector': PRINT, **options})


@pytest.mark.parametrize('change', [dict(protect=None), dict(strength=1.)])
def test_a_manifest_cannot_have_more(change):
    data = LearnedScheme(protector=PRINT).to_dict()
    with pytest.raises(ValueError, match='a scheme has the fields'):
        read_scheme({**data, **change})


def test_only_8_bit_images():
    with pytest.raises(TypeError, match='8-bit'):
        LearnedScheme(protector=PRINT, protect=_negative).encrypt(np.zeros((16, 16, 3)))


def test_its_name_alone_makes_no_scheme():
    with pytest.raises(ValueError, match='no scheme'):
        make_scheme(LEARNED)
