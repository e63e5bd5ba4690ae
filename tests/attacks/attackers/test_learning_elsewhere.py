"""Attackers that compute with PyTorch do so on the default device, and get there what the CPU gets.

The other device is simulated: it refuses tensors of the CPU as a GPU does.
"""
from __future__ import annotations

from concurrent.futures import Executor, Future

import numpy as np
import pytest
import torch

from mmppvit.attacks import Budget
from mmppvit.attacks.attackers import feature_reconstruction, jigsaw
from mmppvit.attacks.attackers.adversarial import AdversarialReconstruction
from mmppvit.attacks.attackers.diffusion_attacker import DiffusionAttacker
from mmppvit.attacks.attackers.feature_reconstruction import FeatureReconstruction
from mmppvit.attacks.attackers.inverse_network import InverseNetwork
from mmppvit.attacks.attackers.jigsaw import learned_scores
from mmppvit.attacks.attackers.learned_thumbnail import LearnedThumbnail
from mmppvit.attacks.attackers.vit_attacker import ViTAttacker
from mmppvit.attacks.networks import window_stock
from mmppvit.encryption import Scheme, make_scheme
from tests.attacks.reconstruction_cases import Blurred, drawn_images, make_pairs
from tests.models.other_device import OTHER, other_device

if tuple(map(int, torch.__version__.split('.')[:2])) < (2, 13):
    pytest.skip('what the second device takes from PyTorch is of 2.13', allow_module_level=True)

MIXED, SHUFFLED = Scheme(), Scheme('mix+center+shuffle', center_strength=.5)
CASES = {
    'jigsaw-learned': (SHUFFLED, jigsaw.JigsawLearned, {}),
    'jigsaw-transformer': (SHUFFLED, jigsaw.JigsawTransformer, dict(depth=1)),
    'vit': (SHUFFLED, ViTAttacker, dict(depth=1, max_steps=3)),
    'itn': (MIXED, InverseNetwork, dict(width=8, max_steps=3, crop=32, stock=8)),
    'itn of shuffled images': (SHUFFLED, InverseNetwork, dict(width=8, max_steps=3, crop=32)),
    'thumbnail-learned': (MIXED, LearnedThumbnail, dict(max_steps=3)),
    'diffusion': (MIXED, DiffusionAttacker, dict(
        width=8, depth=1, batch=2, max_steps=2, window=32, stock=4, draw_steps=2)),
    'diffusion of smaller images': (make_scheme('downsample'), DiffusionAttacker, dict(
        width=8, depth=1, batch=2, max_steps=2, window=32, draw_steps=2)),
    'gan': (MIXED, AdversarialReconstruction, dict(width=8, max_steps=3, crop=32)),
    'fr': (MIXED, FeatureReconstruction, {}),
    'fr of blurred images': (Blurred(grid=1), FeatureReconstruction, {}),
}


def _attack(name: str):
    """The attacker after a few steps, and what it makes of an image."""
    scheme, kind, options = CASES[name]
    pairs = make_pairs(scheme, drawn_images(4, 64, 48))
    attacker = kind(scheme, **options)
    if name.startswith('jigsaw'):
        attacker.fit_steps = attacker.max_steps = 3
    attacker.fit(pairs[1:], Budget())
    return attacker, attacker.reconstruct(pairs[0].encrypted)


class _InThisThread(Executor):

    def __init__(self, max_workers: int) -> None:
        pass

    def submit(self, fn, /, *args):
        done = Future()
        done.set_result(fn(*args))
        return done


@pytest.mark.parametrize('name', CASES)
def test_the_same_on_another_device(name, monkeypatch):
    invert = FeatureReconstruction.invert  # in few steps, which the inverse network begins with
    monkeypatch.setattr(FeatureReconstruction, 'invert',
                        lambda self, encrypted, steps=None: invert(self, encrypted, 2))
    monkeypatch.setattr(feature_reconstruction, '_SAMPLES', 2000)
    monkeypatch.setattr(window_stock, 'ThreadPoolExecutor', _InThisThread)  # as the simulation is
    attacker, found = _attack(name)
    with other_device(), torch.device(OTHER):
        its_attacker, its = _attack(name)
    networks = [net for net in vars(its_attacker).values() if isinstance(net, torch.nn.Module)]
    assert {param.device for net in networks for param in net.parameters()} <= {OTHER}
    assert its_attacker.error == pytest.approx(attacker.error, rel=1e-3)
    assert np.abs(its.img.astype(int) - found.img).mean() < .5
    if found.order is not None:
        np.testing.assert_array_equal(its.order, found.order)


@pytest.mark.parametrize('gap', [0, 2])
def test_costs_and_odds_of_all_pairs(gap):
    """On another device they are computed by PyTorch, which must not change them."""
    inner = np.random.default_rng(0).uniform(0, 255, (30, 8, 8, 3)).astype(np.float32)
    inner[5] = 128.  # nothing on it
    costs = learned_scores._log_costs(inner, gap)  # by NumPy
    logits = -costs[0].fill_diagonal_(torch.inf)
    odds = learned_scores._log_odds(logits, .1)
    with other_device(), torch.device(OTHER):
        its_costs = learned_scores._log_costs(inner, gap).to('cpu')
        its_odds = learned_scores._log_odds(logits.to(OTHER), .1)
    pairs = ~torch.eye(30, dtype=torch.bool)
    torch.testing.assert_close(its_costs[:, pairs], costs[:, pairs], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(its_odds, odds, rtol=1e-4, atol=1e-5)
