"""The three attackers on photographs, each where it must win and where it must not."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmppvit.attacks import Budget, BudgetExceeded, Pair
from mmppvit.attacks.attackers.jigsaw import (
    JigsawBlind,
    JigsawLearned,
    JigsawMGC,
    largest_component,
    neighbor_accuracy,
)
from mmppvit.encryption import (
    Key,
    Scheme,
    center_patches,
    mix_sub_patches,
    shuffle_patches,
)

SHUFFLE = Scheme('shuffle', grid=1)


def _pairs(folder: Path, count: int, size: int, scheme: Scheme) -> list[Pair]:
    key, out = Key(bytes(32)), []
    for path in sorted(folder.glob('*.jpg'))[:count]:
        plain = cv2.resize(cv2.imread(str(path)), (size, size), interpolation=cv2.INTER_AREA)
        done = scheme.encrypt(plain, key, path.name)
        out.append(Pair(path.name, done.img, plain, done.order))
    return out


def _accuracy(attacker, pairs: list[Pair]) -> float:
    shape = [side // attacker.scheme.side for side in pairs[0].encrypted.shape[:2]]
    return np.mean([neighbor_accuracy(attacker.reconstruct(pair.encrypted).order, pair.order, shape)
                    for pair in pairs])


@pytest.mark.parametrize('kind', [JigsawMGC, JigsawBlind])
def test_plain_shuffling_is_undone(coco_mini, kind):
    """The validity test: at 224 pixels with patches of 16."""
    pairs = _pairs(coco_mini / 'val2017', 3, 224, SHUFFLE)
    attacker = kind(SHUFFLE)
    assert _accuracy(attacker, pairs) >= .95
    done = attacker.reconstruct(pairs[0].encrypted)
    assert largest_component(done.order, pairs[0].order, (14, 14)) == 1
    np.testing.assert_array_equal(done.img, pairs[0].plain)


def test_learned_compatibility_undoes_plain_shuffling_as_well(coco_mini):
    attacker = JigsawLearned(SHUFFLE)
    attacker.fit_steps = 30
    attacker.fit(_pairs(coco_mini / 'train2017', 8, 224, SHUFFLE), Budget())
    assert _accuracy(attacker, _pairs(coco_mini / 'val2017', 3, 224, SHUFFLE)) >= .9


def test_only_the_blind_one_undoes_centering_without_mixing(coco_mini):
    """No scheme on offer, as this is how it ends."""
    rng, accuracy = np.random.default_rng(0), {}
    pairs = []
    for pair in _pairs(coco_mini / 'val2017', 2, 224, SHUFFLE):
        order = rng.permutation(196)
        img = shuffle_patches(center_patches(pair.plain, 16), 16, order)
        pairs.append(Pair(pair.name, img, pair.plain, order))
    for kind in (JigsawMGC, JigsawBlind):
        accuracy[kind] = _accuracy(kind(SHUFFLE), pairs)
    assert accuracy[JigsawBlind] >= .85
    assert accuracy[JigsawMGC] < accuracy[JigsawBlind] - .2


def test_gaps_make_it_harder_and_not_impossible(coco_mini):
    scheme = Scheme('shuffle', grid=1, erode=1)
    pairs = _pairs(coco_mini / 'val2017', 3, 224, scheme)
    assert .6 < _accuracy(JigsawMGC(scheme), pairs) < .95


def test_dropped_patches_leave_the_rest_solvable(coco_mini):
    scheme = Scheme('shuffle', grid=1, drop=.05)
    assert _accuracy(JigsawMGC(scheme), _pairs(coco_mini / 'val2017', 3, 224, scheme)) > .6


def test_learning_helps_against_mixing(coco_mini):
    scheme = Scheme('mix+shuffle')
    pairs = _pairs(coco_mini / 'val2017', 4, 224, scheme)
    attacker = JigsawLearned(scheme)
    attacker.fit_steps = 120
    attacker.fit(_pairs(coco_mini / 'train2017', 40, 224, scheme), Budget())
    assert _accuracy(attacker, pairs) > max(.15, _accuracy(JigsawMGC(scheme), pairs) - .03)


def test_learning_is_deterministic_and_needs_no_order(coco_mini):
    """Pairs without their order say the same, from the plain image."""
    scheme = Scheme('mix+center+shuffle', center_strength=1., erode=1)
    pairs = _pairs(coco_mini / 'train2017', 2, 128, scheme)
    unordered = [Pair(pair.name, pair.encrypted, pair.plain) for pair in pairs]
    nets = []
    for known in (pairs, pairs, unordered):
        attacker = JigsawLearned(scheme, seed=3)
        attacker.fit_steps = 3
        attacker.fit(known, Budget())
        nets.append(attacker.net.state_dict())
    for net in nets[1:]:
        assert all((net[name] == value).all() for name, value in nets[0].items())


def test_no_time_and_nothing_learned_are_errors(coco_mini):
    attacker = JigsawLearned(SHUFFLE)
    with pytest.raises(RuntimeError, match='has to learn first'):
        attacker.reconstruct(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match='needs pairs'):
        attacker.fit([], Budget())
    with pytest.raises(BudgetExceeded):
        attacker.fit(_pairs(coco_mini / 'train2017', 1, 64, SHUFFLE), Budget(1e-9))


def test_the_image_is_in_the_plain_frame():
    """Of a mixed image: mixed patches where they belong, upsampled."""
    ramp = np.linspace(0, 255, 96)
    plain = np.stack(np.broadcast_arrays(ramp[:64, None], ramp, 128), 2).astype(np.uint8)
    scheme = Scheme('mix+shuffle')
    done = scheme.encrypt(plain, Key(bytes(32)), 'ramp')
    found = JigsawMGC(scheme)._image(done.img, done.order)
    assert (found.shape, found.dtype) == (plain.shape, np.uint8)
    np.testing.assert_array_equal(
        found, cv2.resize(mix_sub_patches(plain), (96, 64), interpolation=cv2.INTER_CUBIC))


@pytest.mark.parametrize('kind', [JigsawMGC, JigsawBlind, JigsawLearned])
def test_images_in_order_are_no_puzzle(kind):
    assert kind.not_for(Scheme('mix')) == 'patches are in order'
    assert kind.not_for(SHUFFLE) is None
