"""What diffusion draws encrypts to the given image, and looks like the domain."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmppvit.attacks import Budget, BudgetExceeded
from mmppvit.attacks.attackers import diffusion_attacker
from mmppvit.attacks.attackers.diffusion_attacker import DiffusionAttacker
from mmppvit.attacks.attackers.inverse_network import InverseNetwork
from mmppvit.encryption import Scheme, make_scheme
from tests.attacks.reconstruction_cases import Blurred, drawn_images, make_pairs


def _small(scheme: Scheme, steps: int = 2, **options) -> DiffusionAttacker:
    attacker = DiffusionAttacker(scheme, **{**dict(
        width=8, max_steps=steps, window=32, batch=4, stock=4, draw_steps=6), **options})
    if attacker._reconstruction is not None:
        attacker._reconstruction.steps = 5
    return attacker


def _bars(count: int) -> list[np.ndarray]:
    """Columns of 8 pixels, half of each bright, at random the left or the right one."""
    rng = np.random.default_rng(0)
    halves = np.array([[60, 200], [200, 60]], np.uint8)
    return [np.kron(halves[rng.integers(2, size=8)].reshape(1, 16, 1),
                    np.ones((64, 4, 3), np.uint8)) for _ in range(count)]


@pytest.fixture(scope='module')
def bars():
    """Mixed, they are gray: every image that looks like bars is as probable as any other."""
    scheme = Scheme('mix', 8, 2)
    pairs = make_pairs(scheme, _bars(10))
    assert (pairs[0].encrypted == 130).all()
    attacker = _small(scheme, 60, width=16, stock=16, draw_steps=10)
    attacker.fit(pairs[2:], Budget())
    return attacker, pairs


def test_it_draws_where_the_inverse_network_blurs(bars):
    attacker, pairs = bars
    inverse = InverseNetwork(attacker.scheme, width=8, max_steps=5, crop=16, stock=8)
    inverse.fit(pairs[2:], Budget())
    given = pairs[0].encrypted
    plain, drawn, mean = (np.abs(np.diff(img.astype(int), axis=1)).mean() for img in (
        pairs[0].plain, attacker.reconstruct(given).img, inverse.reconstruct(given).img))
    assert mean < .1 * plain
    assert .5 * plain < drawn < 2 * plain


def test_what_is_drawn_encrypts_to_the_given_image(bars):
    attacker, pairs = bars
    draws = [attacker.draw(pairs[0].encrypted, seed) for seed in range(2)]
    for img in draws:
        missed = attacker.scheme.encrypt(img).img.astype(int) - pairs[0].encrypted
        assert np.abs(missed).max() <= 1
    assert np.abs(draws[0].astype(int) - draws[1]).mean() > 10  # and is another one each time


def test_averages_differ_less_than_draws(bars):
    attacker, pairs = bars
    spread = []
    given = pairs[0].encrypted[:16, :16]
    for attacker.average in (4, 1):
        draws = [attacker.draw(given, seed).astype(int) for seed in range(2)]
        spread.append(np.abs(draws[0] - draws[1]).mean())
    assert spread[0] < .95 * spread[1]


@pytest.mark.parametrize('scheme', [
    make_scheme('mix', grid=4), make_scheme('mix+center', center_strength=1.),
    make_scheme('mix', patch_size=8), make_scheme('downsample', grid=4)])
def test_it_encrypts_to_the_given_image_on_every_linear_scheme(scheme):
    """However little was learned; at sizes that nothing was learned on."""
    attacker = _small(scheme)
    attacker.fit(make_pairs(scheme, drawn_images(3)), Budget())
    victim = make_pairs(scheme, drawn_images(1, 48, 80, seed=1))[0]
    img = attacker.reconstruct(victim.encrypted).img
    assert img.shape == victim.plain.shape
    missed = np.abs(scheme.encrypt(img).img.astype(int) - victim.encrypted)
    assert missed.max() <= 2  # a mean and its rest are rounded
    assert missed.mean() < .2


@pytest.mark.parametrize('scheme', [
    make_scheme('mix+center', center_strength=1., normalize=True),
    make_scheme('pixelate', grid=1, strength=8.)])
def test_elsewhere_the_draw_that_encrypts_best_is_taken(scheme):
    attacker = _small(scheme)
    attacker.fit(make_pairs(scheme, drawn_images(3)), Budget())
    victim = make_pairs(scheme, drawn_images(1))[0]

    def missed(img: np.ndarray) -> float:
        return np.abs(scheme.encrypt(img).img.astype(int) - victim.encrypted).mean()

    best = missed(attacker.reconstruct(victim.encrypted).img)
    assert best == min(missed(attacker.draw(victim.encrypted, seed)) for seed in range(3))


@pytest.mark.parametrize(('left', 'level'), [(0., 5.), (100., .15)])
def test_draws_begin_with_less_noise_where_it_is_left_in_them(monkeypatch, left, level):
    monkeypatch.setattr(diffusion_attacker, 'sample',
                        lambda net, condition, steps, noise, largest: left * largest * noise())
    attacker = _small(Blurred(grid=1), 1)  # which begins with a smooth image
    attacker.fit(make_pairs(attacker.scheme, drawn_images(3, 32, 48)), Budget())
    assert attacker._largest == level


def test_runs_repeat_and_seeds_differ():
    scheme = Scheme()
    pairs = make_pairs(scheme, drawn_images(4, 48, 48))
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(found))  # of nothing that came before
        attacker = _small(scheme, seed=seed)
        attacker.fit(pairs[1:], Budget())
        found.append((attacker.error, attacker.reconstruct(pairs[0].encrypted).img.tobytes()))
    assert found[0] == found[1] != found[2]


def test_it_gives_back_what_was_not_encrypted():
    scheme = Scheme('mix', grid=1)
    attacker = _small(scheme, 1)
    pairs = make_pairs(scheme, drawn_images(3, 32, 48))
    attacker.fit(pairs[1:], Budget())
    np.testing.assert_array_equal(
        attacker.reconstruct(pairs[0].encrypted).img, pairs[0].plain)


def test_large_images_take_fewer_steps_on_a_cpu():
    attacker = DiffusionAttacker(Scheme())
    steps = [attacker._affordable(torch.empty(1, 3, *size)) for size in ((320, 320), (800, 1344))]
    assert steps == [30, 8]


def test_shuffled_images_and_no_time():
    assert 'in order' in DiffusionAttacker.not_for(Scheme('mix+shuffle'))
    scheme = Scheme()
    with pytest.raises(BudgetExceeded):
        _small(scheme).fit(make_pairs(scheme, drawn_images(3, 32, 32)), Budget(1e-6))
