"""The adversary: whom its gradients push, and where they end."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mmppvit.models.protectors import AdversarialReconstructor


class _Scale(nn.Module):
    """Restores an image as ``scale * image``."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.))

    def protect(self, x: Tensor) -> Tensor:
        return self.scale * x


@pytest.fixture
def adversary() -> AdversarialReconstructor:
    adversary = AdversarialReconstructor(dict(type='ProtectionUNet', arch=(4, 8)), beta=.5)
    adversary.network = _Scale()
    return adversary


def _images() -> tuple[Tensor, Tensor]:
    """Plain ones, and protected ones of which the first is close and the second far off."""
    torch.manual_seed(0)
    plain = torch.rand(2, 3, 8, 8)
    protected = torch.stack([plain[0] * .9, torch.full((3, 8, 8), 5.)])
    return protected.requires_grad_(), plain


def test_the_reconstructor_descends_and_the_protector_climbs(adversary):
    protected, plain = _images()
    losses = adversary(protected, plain)
    losses['loss_reconstructor'].backward()
    straight = protected.detach().clone().requires_grad_()
    scale = torch.tensor(1., requires_grad=True)
    (scale * straight - plain).abs().mean().backward()
    torch.testing.assert_close(adversary.network.scale.grad, scale.grad)
    torch.testing.assert_close(protected.grad[0], -.5 * straight.grad[0])


def test_a_image_that_is_won_pushes_no_further(adversary):
    protected, plain = _images()
    losses = adversary(protected, plain)
    losses['loss_reconstructor'].backward()
    assert protected.grad[0].abs().sum() > 0
    assert protected.grad[1].abs().sum() == 0


def test_what_is_logged_is_relative_to_the_mean_color(adversary):
    _, plain = _images()
    flat = plain.mean((2, 3), keepdim=True).expand_as(plain)
    assert float(adversary(flat, plain)['reconstruction_error']) == pytest.approx(1)
    assert float(adversary(plain, plain)['reconstruction_error']) == 0
    assert float(adversary(flat, flat.clone())['reconstruction_error']) < 1, 'no division by 0'


def test_other_losses_of_the_protected_image_are_left_alone(adversary):
    protected, plain = _images()
    inner = protected * 1.
    (inner.sum() + 0 * adversary(inner, plain)['loss_reconstructor']).backward()
    torch.testing.assert_close(protected.grad, torch.ones_like(protected))


def test_it_works_without_gradients(adversary):
    with torch.no_grad():
        assert adversary(*_images())['loss_reconstructor'] > 0


def test_playing_it_moves_both():
    torch.manual_seed(0)
    adversary = AdversarialReconstructor(dict(type='ProtectionUNet', arch=(8, 16)))
    plain = torch.rand(4, 3, 16, 16)
    mask = torch.zeros(1, 3, 16, 16, requires_grad=True)
    optimizer = torch.optim.Adam([mask, *adversary.parameters()], lr=3e-2)
    errors = []
    for _ in range(30):
        losses = adversary(plain * mask.sigmoid(), plain)
        optimizer.zero_grad()
        losses['loss_reconstructor'].backward()
        optimizer.step()
        errors.append(float(losses['reconstruction_error']))
    assert errors[-1] < errors[0]
    assert mask.grad.abs().sum() > 0
