"""Images through a protector, down to 8 bit."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmppvit.models.protectors import (
    ProtectionUNet,
    protect_batch,
    protect_image,
    round_straight_through,
)


@pytest.fixture
def net() -> ProtectionUNet:
    torch.manual_seed(0)
    return ProtectionUNet((4, 8)).eval()


def test_rounding_is_exact_and_its_gradient_one():
    x = torch.linspace(0, 255, 10_001, requires_grad=True)
    rounded = round_straight_through(x)
    assert torch.equal(rounded, x.detach().round())
    rounded.backward(torch.arange(10_001.))
    assert torch.equal(x.grad, torch.arange(10_001.))


def test_a_image_is_what_its_definition_says(net):
    img = np.random.default_rng(0).integers(0, 256, (10, 13, 3), np.uint8)
    found = protect_image(net, img)
    rgb = torch.from_numpy(img[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    expected = (net(rgb).sigmoid() * 255).round()[0].permute(1, 2, 0).detach().numpy()[..., ::-1]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_a_image_does_not_depend_on_its_batch(net):
    imgs = torch.randint(0, 256, (3, 3, 21, 30), dtype=torch.uint8)
    with torch.no_grad():
        together = protect_batch(net, imgs)
    for img, found in zip(imgs, together, strict=True):
        alone = protect_image(net, img.permute(1, 2, 0).numpy())
        np.testing.assert_array_equal(alone, found.permute(1, 2, 0).numpy())


def test_in_training_batch_norm_sees_the_batch(net):
    imgs = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    net.train()
    x = imgs.flip(1) / 255
    torch.testing.assert_close(protect_batch(net, imgs, quantize=False),
                               net.protect(x).flip(1) * 255)


def test_quantizing_rounds_and_lets_gradients_through(net):
    imgs = torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8)
    smooth, rounded = (protect_batch(net, imgs, quantize) for quantize in (False, True))
    assert torch.equal(rounded, smooth.round())
    assert not torch.equal(rounded, smooth)
    goals = torch.autograd.grad(smooth.sum(), net.head.weight)
    torch.testing.assert_close(torch.autograd.grad(rounded.sum(), net.head.weight), goals)


@pytest.mark.parametrize('img', [
    np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 1), np.uint8)])
def test_arrays_that_are_no_images(net, img):
    with pytest.raises(TypeError, match=r'uint8 of \(H, W, 3\), got'):
        protect_image(net, img)


def test_training_mode_is_refused(net):
    with pytest.raises(ValueError, match='call its eval'):
        protect_image(net.train(), np.zeros((4, 4, 3), np.uint8))
