"""The sampler is exact where the best denoiser is known; the null space is one."""
from __future__ import annotations

import pytest
import torch
from torch import nn

from mmppvit.attacks.networks.diffusion import Denoiser, KnownDownsampling, known_map, sample
from mmppvit.encryption import make_scheme

LINEAR = [make_scheme('mix'), make_scheme('mix', grid=4), make_scheme('downsample', grid=4),
          make_scheme('mix+center', center_strength=1.)]


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('scheme', LINEAR, ids=lambda scheme: f'{scheme.name}-{scheme.side}')
def test_the_remainder_is_a_projection_that_changes_no_encrypted_pixel(scheme):
    known = known_map(scheme)
    img, other = _noise(2, 1, 3, 32, 48)
    rest = known.remainder(img)
    assert known(rest).abs().max() < 1e-5
    torch.testing.assert_close(known.remainder(rest), rest, atol=1e-5, rtol=0)
    assert (rest * (other - known.remainder(other))).mean().abs() < 1e-5
    met = known.project(img, known(other))
    torch.testing.assert_close(met - rest, other - known.remainder(other), atol=1e-5, rtol=0)


def test_downsampling_is_a_known_map():
    scheme = make_scheme('downsample', grid=2)
    known = known_map(scheme)
    assert isinstance(known, KnownDownsampling)
    img = _noise(1, 3, 16, 32)
    torch.testing.assert_close(known(img), nn.functional.avg_pool2d(img, 2))
    assert known_map(make_scheme('downsample+shuffle')) is None
    assert known_map(make_scheme('blur', grid=1, strength=2.)) is None


def test_what_is_drawn_is_of_one_size_everywhere_and_of_independent_colors():
    net = Denoiser(make_scheme('mix'), 4)
    contrast = torch.logspace(-2, -1, 24).reshape(1, 1, 4, 6).repeat_interleave(16, 2)
    contrast = contrast.repeat_interleave(16, 3)
    start = contrast * _noise(8, 3, 64, 96)
    more = torch.randn(8, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    more[:, 1] = more[:, 0] + .1 * more[:, 1]  # colors that depend on each other
    plain = start + 3 * contrast * more
    net.fit_spread(start, plain)
    assert net.spread[1].item() == pytest.approx(1., abs=.05)
    start, spread, _ = net.prepare(net.known(start), start)
    drawn = net.to_draw(plain - start, spread)
    torch.testing.assert_close(net.drawn(drawn, spread), net.open(plain - start))
    colors = torch.cov(drawn.transpose(0, 1).flatten(1))
    torch.testing.assert_close(colors, torch.eye(3) / 4, atol=.01, rtol=0)
    assert drawn[..., :16, :16].std().item() == pytest.approx(.5, rel=.1)
    assert net.known(drawn).abs().max() < 1e-4  # still in the null space


class _Normal(nn.Module):
    """The best denoiser of independent normal numbers of ``deviation``."""
    deviation = .5

    def open(self, img: torch.Tensor) -> torch.Tensor:
        return img

    def forward(self, noisy: torch.Tensor, noise_level: torch.Tensor, _) -> torch.Tensor:
        return noisy / (1 + (noise_level[:, None, None, None] / self.deviation)**2)


def test_normal_numbers_are_drawn_with_their_deviation():
    noise = torch.Generator().manual_seed(0)
    drawn = sample(_Normal(), None, 30, lambda: torch.randn(1, 3, 64, 64, generator=noise))
    assert drawn.std().item() == pytest.approx(.5, rel=.05)


@pytest.mark.parametrize('size', [(16, 16), (48, 80)])
def test_denoisers_take_all_sizes(size):
    net = Denoiser(make_scheme('mix+center', center_strength=1.), 4, 2)
    height, width = size
    start, spread, condition = net.prepare(
        _noise(2, 3, height // 2, width // 2), _noise(2, 3, *size))
    drawn = sample(net, condition, 2, lambda: _noise(2, 3, *size))
    assert drawn.shape == start.shape == (2, 3, *size)
    assert net.known(net.drawn(drawn, spread)).abs().max() < 1e-5


def test_a_cut_out_is_computed_as_within_the_image():
    """But for what convolutions see of the borders."""
    net = Denoiser(make_scheme('mix'), 4)
    nn.init.normal_(net.net.head.weight)
    noisy, condition, level = _noise(1, 3, 256, 256), _noise(1, 14, 256, 256), torch.ones(1)
    with torch.inference_mode():
        whole = net(noisy, level, condition)
        part = net(noisy[..., :192, :192], level, condition[..., :192, :192])
    assert (whole[..., :16, :16] - part[..., :16, :16]).abs().max() < 1e-4
