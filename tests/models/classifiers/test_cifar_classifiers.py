"""ResNet-20 and VGG16 for CIFAR: sizes as published, and what timm asks of a model."""
from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812

from mmppvit.models.classifiers import CifarResNet, CifarVGG


def _count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(('depth', 'millions'), [(20, .27), (32, .46), (56, .85), (110, 1.7)])
def test_parameters_as_in_the_paper(depth, millions):
    """Table 6 of He et al. 2016."""
    assert _count(CifarResNet(depth)) / 1e6 == pytest.approx(millions, rel=.02)


def test_parameters_exactly():
    assert _count(timm.create_model('resnet20_cifar')) == 269_722
    assert _count(timm.create_model('vgg16_bn_cifar')) == 14_728_266


@pytest.mark.parametrize('depth', [0, 2, 18, 21])
def test_other_depths(depth):
    with pytest.raises(ValueError, match='depth must be 6 n'):
        CifarResNet(depth)


@pytest.mark.parametrize('name', ['resnet20_cifar', 'vgg16_bn_cifar'])
def test_any_size_and_number_of_classes(name):
    model = timm.create_model(name, num_classes=7).eval()
    with torch.inference_mode():
        assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)
        assert model(torch.rand(1, 3, 48, 40)).shape == (1, 7)
    assert model.pretrained_cfg['mean'] == (.4914, .4822, .4465)


def test_shortcuts_have_no_weights():
    """Option A: a block whose convolutions give nothing hands on every other pixel, in the middle
    of more channels."""
    block = CifarResNet().stages[1][0].eval()
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.rand(1, 16, 6, 6)
    found = block(x)
    assert found.shape == (1, 32, 3, 3)
    assert torch.equal(found[:, 8:24], x[:, :, ::2, ::2])
    assert not found[:, :8].any()
    assert not found[:, 24:].any()


def test_one_linear_layer_after_13_convolutions():
    model = CifarVGG()
    kinds = [type(module).__name__ for module in model.modules()]
    assert (kinds.count('Conv2d'), kinds.count('BatchNorm2d'), kinds.count('Linear')) == (13, 13, 1)
    x = torch.rand(2, 3, 32, 32)
    model.eval()
    assert torch.equal(model(x), F.linear(model.features(x).flatten(1), model.head.weight,
                                          model.head.bias))
    with pytest.raises(ValueError, match='takes 3 channels, got 1'):
        CifarVGG(in_chans=1)
