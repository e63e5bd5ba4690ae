"""Known plaintext: it finds an order that is used again, and fails against sub-keys."""
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmppvit.attacks import Budget, BudgetExceeded, Pair
from mmppvit.attacks.attackers.known_plaintext import (
    KnownPlaintext,
    attack_orders,
    find_order,
    share_in_place,
)
from mmppvit.attacks.scoring.image_metrics import psnr
from mmppvit.encryption import (
    BaselineScheme,
    Key,
    Scheme,
    mix_sub_patches,
    pad_to_patches,
    shuffle_patches,
)

KEY = Key(bytes(range(32)))
SHUFFLING = [
    Scheme('shuffle', grid=1), Scheme('mix+shuffle'), Scheme('mix+shuffle', 32, 4),
    Scheme('mix+center+shuffle', center_strength=1.),
    Scheme('mix+center+shuffle', center_strength=1., gain=4.),
    Scheme('mix+center+shuffle', center_strength=.5, normalize=True, erode=1),
    BaselineScheme('downsample+shuffle', grid=2),
]


def _image(seed: int, height: int = 80, width: int = 112) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def cells(bccd) -> list[np.ndarray]:
    """Of one size, with flat ground that looks alike in many places."""
    paths = sorted((bccd / 'images').glob('*.jpg'))[:8]
    return [cv2.resize(cv2.imread(str(path)), (320, 240)) for path in paths]


@pytest.mark.parametrize('scheme', SHUFFLING, ids=lambda scheme: scheme.name)
def test_an_order_that_is_used_again_is_found_from_one_pair(scheme):
    score = attack_orders(scheme, [_image(i) for i in range(4)], KEY, known=1, reuse=True)
    assert score.shares == (1., 1., 1.)
    count = -(-80 // scheme.patch_size) * -(-112 // scheme.patch_size)
    assert score.chance == pytest.approx(1 / count)


@pytest.mark.parametrize('scheme', SHUFFLING, ids=lambda scheme: scheme.name)
def test_sub_keys_hold(scheme):
    """However many pairs there are: orders of other images say nothing."""
    score = attack_orders(scheme, [_image(i) for i in range(40)], KEY, known=10)
    # One patch of N is right on average, with a variance of about one, over 30 victims.
    assert score.mean < (1 + 4 / np.sqrt(30)) * score.chance
    assert max(score.shares) < 6 * score.chance


@pytest.mark.parametrize('scheme', SHUFFLING[:4], ids=lambda scheme: scheme.name)
def test_real_images(cells, scheme):
    """Flat ground is ambiguous in one image and not in several."""
    reused = attack_orders(scheme, cells, KEY, known=4, reuse=True)
    assert reused.mean > .98
    sealed = attack_orders(scheme, cells, KEY, known=4)
    assert sealed.mean < 4 * sealed.chance


def test_copies_that_were_compressed_do_as_well(cells):
    scheme = Scheme('mix+shuffle')
    order = np.random.default_rng(0).permutation(15 * 20)
    pairs = []
    for img in cells[:4]:
        lossy = cv2.imdecode(cv2.imencode('.jpg', img, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 1)
        pairs.append((lossy, shuffle_patches(mix_sub_patches(img, 16, 2), 8, order)))
    assert share_in_place(order, find_order(scheme, pairs)) > .95


def test_dropped_patches_are_lost_and_the_others_found():
    scheme = Scheme('mix+shuffle', drop=.2)
    score = attack_orders(scheme, [_image(i) for i in range(3)], KEY, known=2, reuse=True)
    assert min(score.shares) >= 28 / 35  # 7 of 35 patches were dropped
    assert min(score.shares) < 1


def test_the_image_comes_back(cells):
    """Of a shuffled set whose order is used again, to the pixel."""
    scheme = Scheme('shuffle', grid=1)
    order = np.random.default_rng(1).permutation(15 * 20)
    pairs = [Pair(str(i), shuffle_patches(img, 16, order), img) for i, img in enumerate(cells)]
    attacker = KnownPlaintext(scheme)
    attacker.fit(pairs[:5], Budget())
    reconstruction = attacker.reconstruct(pairs[6].encrypted)
    assert psnr(cells[6], reconstruction.img) > 40
    mixed = replace(scheme, name='mix+shuffle', grid=2)
    attacker = KnownPlaintext(mixed)
    attacker.fit([Pair('a', mixed.encrypt(img, KEY, str(i)).img, pad_to_patches(img, 16))
                  for i, img in enumerate(cells[:2])], Budget())
    reconstruction = attacker.reconstruct(mixed.encrypt(cells[3], KEY, '3').img)
    assert reconstruction.img.shape == cells[3].shape
    assert share_in_place(mixed.encrypt(cells[3], KEY, '3').order, reconstruction.order) < .05


def test_a_size_that_was_not_known_is_a_guess():
    attacker = KnownPlaintext(Scheme('mix+shuffle'), seed=3)
    attacker.fit([], Budget())
    encrypted = _image(0, 40, 56)
    np.testing.assert_array_equal(attacker.reconstruct(encrypted).order,
                                  attacker.reconstruct(encrypted).order)
    assert attacker.reconstruct(encrypted).img.shape == (80, 112, 3)


def test_what_has_no_meaning():
    assert KnownPlaintext.not_for(Scheme('mix')) == 'nothing is shuffled'
    assert KnownPlaintext.not_for(Scheme('mix+shuffle')) is None
    with pytest.raises(ValueError, match='scheme mix does not shuffle'):
        attack_orders(Scheme('mix'), [_image(0)] * 3, KEY)
    with pytest.raises(ValueError, match='cannot be known and one be left'):
        attack_orders(Scheme('mix+shuffle'), [_image(0)] * 2, KEY, known=2)
    with pytest.raises(ValueError, match='from one pair at least'):
        find_order(Scheme('mix+shuffle'), [])
    with pytest.raises(ValueError, match='its pair is of shape'):
        find_order(Scheme('mix+shuffle'), [(_image(0), _image(0))])
    with pytest.raises(BudgetExceeded):
        KnownPlaintext(Scheme('mix+shuffle')).fit([Pair('a', _image(0), _image(0))], Budget(1e-9))
