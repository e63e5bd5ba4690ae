"""The protection network: sizes, padding, archs."""
from __future__ import annotations

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from mmppvit.models.protectors import ProtectionUNet


def _tiny(**kwargs) -> ProtectionUNet:
    torch.manual_seed(0)
    return ProtectionUNet((4, 6, 8), **kwargs).eval()


@pytest.mark.parametrize(('arch', 'count'), [('paper', 34_520_323), ('light', 436_588)])
def test_number_of_parameters(arch, count):
    with torch.device('meta'):
        net = ProtectionUNet(arch)
    assert sum(param.numel() for param in net.parameters()) == count
    assert net.stride == 16


def test_the_default_is_the_papers():
    with torch.device('meta'):
        assert ProtectionUNet().channels == (64, 128, 256, 512, 1024)


@pytest.mark.parametrize('size', [(16, 16), (1, 1), (3, 37), (17, 31), (32, 48)])
@pytest.mark.parametrize('downscale', [1, 2])
def test_any_size_comes_back(size, downscale):
    net = ProtectionUNet(dict(channels=(4, 6, 8), downscale=downscale)).eval()
    out = net(torch.rand(2, 3, *size))
    assert out.shape == (2, 3, *size)
    assert out.dtype == torch.float32


def test_padding_repeats_the_border():
    net, x = _tiny(), torch.rand(1, 3, 6, 9)
    padded = nn.functional.pad(x, (0, 3, 0, 2), mode='replicate')
    torch.testing.assert_close(net(x), net(padded)[:, :, :6, :9], rtol=0, atol=0)


def test_a_forward_written_out():
    """Level by level as in the paper, skip first in the concatenation."""
    net, x = _tiny(), torch.rand(2, 3, 8, 12)
    pool, up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode='nearest')
    one = net.encoders[0](x)
    two = net.encoders[1](pool(one))
    three = net.encoders[2](pool(two))
    two = net.decoders[1](torch.cat([two, net.ups[1](up(three))], 1))
    one = net.decoders[0](torch.cat([one, net.ups[0](up(two))], 1))
    torch.testing.assert_close(net(x), net.head(one))


def test_protect_is_a_sigmoid_in_float32_under_autocast():
    net, x = _tiny(), torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(net.protect(x), net(x).sigmoid())
    with torch.autocast('cpu', torch.bfloat16):
        assert net(x).dtype == torch.bfloat16
        protected = net.protect(x)
    assert protected.dtype == torch.float32
    assert 0 < protected.min() < protected.max() < 1


@pytest.mark.parametrize(('norm', 'kind'), [
    ('BN', nn.BatchNorm2d), ('GN', nn.GroupNorm), (dict(type='GN', num_groups=2), nn.GroupNorm),
    (None, type(None))])
def test_norms(norm, kind):
    net = ProtectionUNet((8, 16), norm=norm)
    norms = [m for m in net.modules() if isinstance(m, (nn.BatchNorm2d, nn.GroupNorm))]
    assert len(norms) == (0 if norm is None else 7)
    assert all(isinstance(m, kind) for m in norms)
    assert (net.encoders[0][0][0].bias is None) == (norm is not None)


@pytest.mark.parametrize('kwargs', [
    dict(arch='light'), dict(arch=(4, 8), norm=None), dict(arch=(8, 8), in_channels=1, norm='GN')])
def test_settings_build_it_again(kwargs):
    net = ProtectionUNet(**kwargs)
    again = MODELS.build(dict(net.settings, type='ProtectionUNet'))
    again.load_state_dict(net.state_dict())
    assert again.settings == net.settings


@pytest.mark.parametrize(('arch', 'error'), [
    ('huge', "arch 'huge' is not one of"), ((8, ), 'at least two levels'),
    (dict(channels=(4, 8), downscale=0), 'downscale of at least 1'),
    (dict(depth=3), r"arch has \['depth'\]")])
def test_archs_that_are_none(arch, error):
    with pytest.raises(ValueError, match=error):
        ProtectionUNet(arch)
