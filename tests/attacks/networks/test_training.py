"""The loop keeps to its budget and repeats; drawn pairs are pairs."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmppvit.attacks import Budget, BudgetExceeded
from mmppvit.attacks.networks.training import PairSampler, seeded, split_pairs, train
from mmppvit.encryption import Scheme, unshuffle_patches
from tests.attacks.reconstruction_cases import drawn_images, make_pairs


def test_crops_of_mixed_images_are_mixed_crops():
    scheme = Scheme()
    sampler = PairSampler(scheme, make_pairs(scheme, drawn_images(2)), 0)
    for crop in sampler.crops(20, 64):
        assert crop.plain.shape == (64, 64, 3)
        np.testing.assert_array_equal(scheme.encrypt(crop.plain).img, crop.encrypted)


def test_moved_images_are_shuffled_anew_and_their_order_is_known():
    scheme = Scheme('mix+shuffle')
    pair = make_pairs(scheme, drawn_images(1))[0]
    sampler = PairSampler(scheme, [pair], 0, turn=False)
    orders = set()
    for _ in range(8):
        made = sampler.whole(pair)
        in_order = unshuffle_patches(made.encrypted, 8, made.order)
        np.testing.assert_array_equal(in_order, Scheme().encrypt(made.plain).img)
        orders.add(made.order.tobytes())
    assert len(orders) > 4


def test_crops_of_shuffled_images_have_one_size():
    scheme = Scheme('shuffle', grid=1)
    imgs = [*drawn_images(1, 48, 64), *drawn_images(1, 64, 48)]
    sampler = PairSampler(scheme, make_pairs(scheme, imgs), 0)
    for crop in sampler.crops(20, 96):
        assert crop.plain.shape == crop.encrypted.shape == (48, 48, 3)


def test_splits_are_disjoint_and_need_two():
    pairs = make_pairs(Scheme(), drawn_images(9, 16, 16))
    learn, held = split_pairs(pairs, 0)
    assert len(held) == 1
    assert {p.name for p in learn} | {p.name for p in held} == {p.name for p in pairs}
    assert len(learn) == 8
    with pytest.raises(ValueError, match='at least 2 pairs'):
        split_pairs(pairs[:1], 0)


def _fit_line(budget: Budget, max_steps: int = 200) -> float:
    with seeded(0):
        model = torch.nn.Linear(1, 1)
    x = torch.linspace(-1, 1, 32)[:, None]

    def loss() -> torch.Tensor:
        return ((model(x) - 2 * x - 1)**2).mean()

    train(model, loss, lambda: loss().item(), budget, max_steps, lr=.05)
    return loss().item()


def test_training_learns_and_repeats():
    first = _fit_line(Budget())
    assert first < 1e-3
    assert _fit_line(Budget()) == first


def test_time_ends_training():
    with pytest.raises(BudgetExceeded, match='allow more time'):
        _fit_line(Budget(1e-9))
    _fit_line(Budget(.3), max_steps=1 << 30)


def test_the_best_weights_are_kept():
    model = torch.nn.Linear(1, 1, bias=False)
    errors = iter([3., 1., 2., 2., 2., 2., 2., 2.])
    seen = []

    def validate() -> float:
        seen.append(model.weight.item())
        return next(errors)

    train(model, lambda: model.weight.sum(), validate, Budget(), 20)
    assert model.weight.item() == seen[1]


def test_seeds_leave_no_trace():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    with seeded(5):
        torch.rand(3)
    assert torch.rand(1) == expected
