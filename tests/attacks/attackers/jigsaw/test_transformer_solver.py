"""The transformer solver where it must win: what patches look like tells where, borders do not."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmppvit.attacks import Budget, BudgetExceeded, Pair
from mmppvit.attacks.attackers.jigsaw import (
    JigsawBlind,
    JigsawLearned,
    JigsawTransformer,
    neighbor_accuracy,
)
from mmppvit.attacks.attackers.jigsaw.assembly import assemble, assemble_in_cells
from mmppvit.attacks.attackers.jigsaw.cell_network import CellNetwork
from mmppvit.attacks.attackers.jigsaw.compatibility import PairScores
from mmppvit.attacks.attackers.jigsaw.refinement import layout_score
from mmppvit.encryption import Key, Scheme

MIXED = Scheme('mix+center+shuffle', center_strength=1.)


def _textures(count: int, seed: int = 0) -> list[np.ndarray]:
    """96x128, noise; in the inside of a patch, one texture by its row and one by its column."""
    rng = np.random.default_rng(seed)
    tops = np.zeros((8, 8))
    tops[2:4, 2:6], tops[4:6, 2:6] = 1, -1
    texture = 50 * (np.linspace(-1, 1, 6)[:, None, None, None] * tops[:, None]
                    + np.linspace(-1, 1, 8)[:, None] * tops.T[:, None])  # rows, y, cols, x
    noise = 6 * rng.standard_normal((count, 6, 8, 8, 8, 3))
    mixed = 128 + texture[..., None] + noise
    # The same in all four sub-patches, so that mixing keeps it.
    imgs = np.broadcast_to(mixed[:, :, None, :, :, None], (count, 6, 2, 8, 8, 2, 8, 3))
    return list(np.clip(imgs.reshape(count, 96, 128, 3), 0, 255).astype(np.uint8))


def _pairs(scheme: Scheme, imgs: list[np.ndarray], key: bytes = bytes(32)) -> list[Pair]:
    out = []
    for index, img in enumerate(imgs):
        done = scheme.encrypt(img, Key(key), str(index))
        out.append(Pair(str(index), done.img, img, done.order))
    return out


def _quick(scheme: Scheme, steps: int, seed: int = 0) -> JigsawTransformer:
    attacker = JigsawTransformer(scheme, seed, depth=2)
    attacker.fit_steps, attacker.max_steps = 3, steps
    return attacker


@pytest.fixture(scope='module')
def taught() -> tuple[JigsawTransformer, list[Pair]]:
    pairs = _pairs(MIXED, _textures(20))
    attacker = _quick(MIXED, 60)
    attacker.fit(pairs[4:], Budget())
    return attacker, pairs[:4]


def test_textures_tell_the_place_where_borders_tell_nothing(taught):
    """Of 48 patches; without the transformer there is nothing better than chance."""
    attacker, victims = taught
    orders = [attacker.reconstruct(pair.encrypted).order for pair in victims]
    neighbors = np.mean([neighbor_accuracy(order, pair.order, (6, 8))
                         for order, pair in zip(orders, victims, strict=True)])
    borders = np.mean([neighbor_accuracy(JigsawBlind(MIXED).reconstruct(pair.encrypted).order,
                                         pair.order, (6, 8)) for pair in victims])
    steps = np.abs(np.stack([np.stack(np.divmod(order, 8)) - np.stack(np.divmod(pair.order, 8))
                             for order, pair in zip(orders, victims, strict=True)])).mean()
    assert borders < .1
    assert neighbors > .25
    assert steps < .8  # rows or columns; 2.3 by chance


def test_noise_stays_shuffled(taught):
    """It must lose where nothing tells."""
    attacker, _ = taught
    rng = np.random.default_rng(1)
    victims = _pairs(MIXED, [rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(3)])
    assert np.mean([neighbor_accuracy(attacker.reconstruct(pair.encrypted).order, pair.order,
                                      (6, 8)) for pair in victims]) < .1


def test_plain_shuffling_is_undone(coco_mini):
    """The validity test of every solver, hardly taught: borders suffice."""
    import cv2
    scheme = Scheme('shuffle', grid=1)
    imgs = [cv2.resize(cv2.imread(str(path)), (128, 96), interpolation=cv2.INTER_AREA)
            for path in sorted((coco_mini / 'val2017').glob('*.jpg'))[:5]]
    pairs = _pairs(scheme, imgs)
    attacker = _quick(scheme, 3)
    attacker.fit(pairs[2:], Budget())
    for pair in pairs[:2]:
        order = attacker.reconstruct(pair.encrypted).order
        assert neighbor_accuracy(order, pair.order, (6, 8)) >= .9


def test_what_it_is_given_in_another_order_it_answers_in_that_order():
    torch.manual_seed(0)
    net = CellNetwork(8, 32, 2).eval()
    inner, odds = torch.rand(12, 8, 8, 3) * 255, torch.randn(4, 12, 12)
    order = torch.randperm(12)
    with torch.inference_mode():
        moved = net(inner[order], odds[:, order][:, :, order])
        torch.testing.assert_close(moved, net(inner, odds)[order], atol=1e-5, rtol=1e-4)


def test_learning_repeats_and_its_error_can_be_compared():
    pairs = _pairs(MIXED, _textures(4))
    first, second = _quick(MIXED, 2, seed=3), _quick(MIXED, 2, seed=3)
    for attacker in (first, second):
        attacker.fit(pairs, Budget())
    assert first.error == second.error
    assert all((second.cells.state_dict()[name] == value).all()
               for name, value in first.cells.state_dict().items())


def test_cells_break_what_borders_leave_open():
    """Two parts whose order only the cells tell; and odds of nothing change nothing."""
    count, shape = 12, (3, 4)
    layout = np.random.default_rng(0).permutation(count).reshape(shape)
    right, below = np.zeros((2, count, count), np.float32)
    right[layout[:, [0, 2]], layout[:, [1, 3]]] = 4  # left and right half do not know each other
    below[layout[:-1], layout[1:]] = 4
    scores = PairScores(right, below)
    odds = np.full((count, count), -1, np.float32)
    odds[np.arange(count)[:, None] % 4 // 2 == np.isin(np.arange(count), layout[:, 2:])] = 1
    order = assemble_in_cells(scores, odds, shape)
    np.testing.assert_array_equal(order[layout.ravel()], np.arange(count))
    np.testing.assert_array_equal(order, np.argsort(layout.ravel()))
    plain = assemble_in_cells(scores, np.zeros_like(odds), shape)
    assert layout_score(np.argsort(plain).reshape(shape), scores) >= layout_score(
        np.argsort(assemble(scores, shape)).reshape(shape), scores)
    with pytest.raises(ValueError, match='do not fit'):
        assemble_in_cells(scores, odds[:-1], shape)


def test_nothing_learned_and_no_time_are_errors():
    with pytest.raises(RuntimeError, match='has to learn first'):
        JigsawTransformer(MIXED).reconstruct(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(BudgetExceeded):
        JigsawTransformer(MIXED).fit(_pairs(MIXED, _textures(3)), Budget(1e-9))
    assert JigsawTransformer.not_for(Scheme('mix')) == JigsawLearned.not_for(Scheme('mix'))
