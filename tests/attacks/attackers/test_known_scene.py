"""Known scene: a second photograph of a view gives the permutation away, another view does not."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from mmppvit.attacks import Budget, BudgetExceeded, Pair
from mmppvit.attacks.attackers.known_scene import (
    KnownScene,
    match_frames,
    match_scene,
    photograph_again,
)
from mmppvit.encryption import Key, Scheme, split_patches

KEY = Key(bytes(range(32)))
SHUFFLE = Scheme('shuffle', grid=1)
CENTERED = Scheme('mix+center+shuffle', center_strength=1.)


def _share(order: np.ndarray, found: np.ndarray) -> float:
    return float((order == found).mean())


@pytest.fixture(scope='module')
def photographs(coco_mini):
    files = sorted((coco_mini / 'val2017').glob('*.jpg'))[:3]
    return [cv2.resize(cv2.imread(str(file)), (256, 256)) for file in files]


@pytest.mark.parametrize(('scheme', 'least'), [
    (SHUFFLE, .9), (Scheme('mix+shuffle'), .9), (CENTERED, .7),
    (Scheme('mix+center+shuffle', center_strength=1., erode=1), .6)], ids=lambda value: str(value))
def test_the_same_view_gives_the_permutation_away(photographs, scheme, least):
    shares = []
    for seed, img in enumerate(photographs):
        encrypted = scheme.encrypt(img, KEY, str(seed))
        match = match_scene(scheme, encrypted.img, photograph_again(img, seed=seed))
        shares.append(_share(encrypted.order, match.order))
    assert np.mean(shares) >= least


def test_the_image_itself_places_every_patch_that_is_unique(photographs):
    encrypted = SHUFFLE.encrypt(photographs[0], KEY, 'a')
    match = match_scene(SHUFFLE, encrypted.img, photographs[0])
    ordered = split_patches(SHUFFLE.in_order(photographs[0]), 16).reshape(256, -1)
    np.testing.assert_array_equal(ordered[match.order], ordered[encrypted.order])


@pytest.mark.parametrize('shift', [(2, 1), (-1, 2)])
def test_shifts_are_searched(photographs, shift):
    """A moved camera ruins the match, and an attacker who tries shifts undoes that."""
    img = photographs[1]
    encrypted = CENTERED.encrypt(img, KEY, 'a')
    scene = photograph_again(img, shift=(-shift[0], -shift[1]))
    without = match_scene(CENTERED, encrypted.img, scene)
    found = match_scene(CENTERED, encrypted.img, scene, reach=2)
    assert found.shift == shift
    assert _share(encrypted.order, found.order) > 3 * _share(encrypted.order, without.order)


def test_another_view_gives_chance(photographs):
    encrypted = CENTERED.encrypt(photographs[0], KEY, 'a')
    match = match_scene(CENTERED, encrypted.img, photographs[2])
    assert _share(encrypted.order, match.order) < .05


def test_the_assignment_is_the_cheapest(photographs):
    """A slow reference, loop by loop."""
    img = photographs[0][:64, :64]
    encrypted = CENTERED.encrypt(img, KEY, 'a')
    scene = photograph_again(img)
    one, other = (split_patches(x, 8).reshape(16, -1).astype(np.float64)
                  for x in (encrypted.img, CENTERED.in_order(scene)))
    one, other = ((x - x.mean()) / x.std() for x in (one, other))
    cost = np.array([[((a - b)**2).mean() for b in other] for a in one])
    rows, order = linear_sum_assignment(cost)
    match = match_scene(CENTERED, encrypted.img, scene)
    np.testing.assert_array_equal(match.order, order)
    assert match.cost == pytest.approx(cost[rows, order].mean(), rel=1e-4)


def test_frames_of_one_camera_are_joined(photographs):
    """An object moves over a background that stands still; no plain image is known."""
    background, thing = photographs[0], photographs[1][:64, :64]
    frames = []
    for place in (16, 128):
        frame = background.copy()
        frame[96:160, place:place + 64] = thing
        frames.append(photograph_again(frame, 1., 0., 2., 90, seed=place))
    first, second = (SHUFFLE.encrypt(img, KEY, str(i)) for i, img in enumerate(frames))
    match = match_frames(SHUFFLE, first.img, second.img)
    still = np.ones((16, 16), bool)
    still[6:10] = False
    still = still.reshape(-1)[second.order]
    assert (first.order[match] == second.order)[still].mean() >= .9


def test_it_finds_out_whose_photograph_it_is(photographs):
    scenes = [Pair(str(i), None, photograph_again(img, seed=i), None)
              for i, img in enumerate(photographs)]
    attacker = KnownScene(SHUFFLE)
    attacker.fit(scenes, Budget())
    encrypted = SHUFFLE.encrypt(photographs[2], KEY, 'x')
    found = attacker.reconstruct(encrypted.img)
    assert _share(encrypted.order, found.order) > .9
    assert found.img.shape == photographs[2].shape


def test_sizes_without_a_photograph_get_a_random_permutation():
    attacker = KnownScene(SHUFFLE)
    attacker.fit([], Budget())
    found = attacker.reconstruct(np.zeros((32, 48, 3), np.uint8))
    np.testing.assert_array_equal(np.sort(found.order), np.arange(6))


def test_what_does_not_fit():
    assert KnownScene.not_for(Scheme('mix'))
    assert KnownScene.not_for(CENTERED) is None
    with pytest.raises(BudgetExceeded):
        KnownScene(SHUFFLE).fit([], Budget(0))
    with pytest.raises(ValueError, match=r'would be of shape \(32, 32, 3\)'):
        match_scene(CENTERED, np.zeros((16, 16, 3), np.uint8), np.zeros((64, 64, 3), np.uint8))
