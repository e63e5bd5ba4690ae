"""Windows are pairs, come in the same order every time, and change."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmppvit.attacks import Budget
from mmppvit.attacks.networks.initial_image import InitialImage
from mmppvit.attacks.networks.restoration import to_image, to_tensor
from mmppvit.attacks.networks.training import PairSampler
from mmppvit.attacks.networks.window_stock import WindowStock
from mmppvit.encryption import make_scheme
from tests.attacks.reconstruction_cases import drawn_images, make_pairs

MIX = make_scheme('mix')


def _stock(scheme=MIX, **options) -> WindowStock:
    sampler = PairSampler(scheme, make_pairs(scheme, drawn_images(3)), 0, turn=False)
    initial = InitialImage(scheme)
    options = {'fresh': 2, 'start': lambda imgs: to_tensor(np.stack(list(map(initial, imgs)))),
               **options}
    return WindowStock(sampler, window=32, batch=8, **options)


@pytest.mark.parametrize('scheme', [MIX, make_scheme('mix+center', center_strength=1.),
                                    make_scheme('downsample')])
def test_windows_are_pairs(scheme):
    with _stock(scheme) as stock:
        for _ in range(3):
            encrypted, start, plain = stock.draw()
            assert start.shape == plain.shape == (8, 3, 32, 32)
            for given, img in zip(encrypted, plain, strict=True):
                np.testing.assert_array_equal(
                    scheme.encrypt(to_image(img)).img, to_image(given))


def test_draws_repeat_and_never_run_out():
    with _stock(most=6) as one, _stock(most=6) as other:
        seen = set()
        for _ in range(6):
            batches = one.draw(), other.draw()
            for a, b in zip(*batches, strict=True):
                assert torch.equal(a, b)
            seen.update(window.numpy().tobytes() for window in batches[0][2])
            assert len(one._stock[0]) <= 6
        assert len(seen) > 24  # of 48


def test_the_thread_makes_them_on_the_device_as_well():
    with torch.device('meta'), _stock() as stock:
        for _ in range(2):
            assert {part.device.type for part in stock.draw()} == {'meta'}
        assert {part.device.type for part in stock._coming.result()} == {'meta'}


def test_stocks_are_filled_up_to_time_and_space():
    with _stock(fresh=0, most=20) as stock:
        stock.fill(Budget(0))
        assert len(stock._stock[0]) == 8
        stock.fill(Budget())
        assert len(stock._stock[0]) == 24
        before = stock._stock[2].clone()
        stock.draw()
        assert torch.equal(stock._stock[2], before)


def test_errors_of_the_thread_are_raised():
    def broken(_: np.ndarray) -> torch.Tensor:
        raise ValueError('no start')

    sampler = PairSampler(MIX, make_pairs(MIX, drawn_images(2)), 0)
    with pytest.raises(ValueError, match='no start'), \
            WindowStock(sampler, broken, 32, 4, 1) as stock:
        stock.draw()
