"""Kernels for other patch sizes: what the pseudo-inverse promises, what plain resizing keeps."""
from __future__ import annotations

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional

from mmppvit.models import PEViT
from mmppvit.models.checkpoints import adapt_state_dict, load_pretrained, to_pevit, to_peyolos
from mmppvit.models.checkpoints.embedding import KERNEL
from mmppvit.models.checkpoints.kernel_resampling import resample_kernel
from mmppvit.models.checkpoints.tensor_files import write_state_dict

ARCH = dict(embed_dims=24, num_layers=1, num_heads=3)
UP = [(14, 16), (14, 15), (8, 16), (7, 8), (14, 32), (1, 5)]
DOWN = [(16, 14), (16, 8), (32, 16), (9, 4)]


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _resize_matrix(old: int, new: int) -> Tensor:
    """float64 (new^2, old^2): B, one column a pixel, by torch's own resizing."""
    pixels = torch.eye(old**2, dtype=torch.float64).reshape(-1, 1, old, old)
    return functional.interpolate(pixels, (new, new), mode='bicubic', antialias=True,
                                  align_corners=False).flatten(1).T


def _vit(**kwargs) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return VisionTransformer(img_size=28, patch_size=14, embed_dim=24, depth=1, num_heads=3,
                             num_classes=0, **kwargs).state_dict()


@pytest.mark.parametrize(('old', 'new'), UP)
def test_tokens_of_enlarged_patches_are_the_same(old, new):
    """<x, w> = <B x, w_new> for all x: B^T w_new = w."""
    kernel = _draw(5, 3, old, old)
    resampled = resample_kernel(kernel, new)
    back = resampled.flatten(2).double() @ _resize_matrix(old, new)
    torch.testing.assert_close(back.float(), kernel.flatten(2), rtol=1e-4, atol=1e-4)
    x = _draw(4, 3, old, old, seed=1)
    large = functional.interpolate(x, (new, new), mode='bicubic', antialias=True,
                                   align_corners=False)
    torch.testing.assert_close(functional.conv2d(large, resampled), functional.conv2d(x, kernel),
                               rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(('old', 'new'), UP + DOWN)
def test_no_kernel_is_closer_on_white_noise(old, new):
    """Normal equations of min ||B^T v - w||: what is left is orthogonal to what v can do."""
    kernel = _draw(5, 3, old, old)
    matrix = _resize_matrix(old, new)
    left = resample_kernel(kernel, new).flatten(2).double() @ matrix - kernel.flatten(2)
    assert (left @ matrix.T).abs().max() < 1e-3
    worse = resample_kernel(kernel, new, 'bicubic').flatten(2).double() @ matrix - kernel.flatten(2)
    assert left.norm() < worse.norm() + 1e-4


@pytest.mark.parametrize(('old', 'new'), UP)
def test_uniform_patches_keep_their_tokens(old, new):
    kernel = _draw(5, 3, old, old)
    sums = resample_kernel(kernel, new).sum((2, 3))
    torch.testing.assert_close(sums, kernel.sum((2, 3)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(('old', 'new'), UP + DOWN)
def test_bicubic_is_an_image_resized_and_scaled_by_the_area(old, new):
    kernel = _draw(1, 1, 1, 1).expand(5, 3, old, old)
    torch.testing.assert_close(resample_kernel(kernel, new, 'bicubic'),
                               kernel[..., :1, :1].expand(5, 3, new, new) * (old / new)**2)
    drawn = _draw(5, 3, old, old)
    expected = drawn.flatten(2).double() @ _resize_matrix(old, new).T * (old / new)**2
    torch.testing.assert_close(resample_kernel(drawn, new, 'bicubic').flatten(2).double(),
                               expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('how', ['pinv', 'bicubic'])
def test_half_precision_is_resampled_in_single(how):
    kernel = _draw(5, 3, 14, 14).half()
    resampled = resample_kernel(kernel, 16, how)
    assert resampled.dtype == torch.float32
    assert torch.equal(resampled, resample_kernel(kernel.float(), 16, how))


def test_a_kernel_of_the_right_size_is_left_as_it_is():
    kernel = _draw(5, 3, 16, 16).half()
    assert resample_kernel(kernel, 16) is kernel


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="no kernel resampling 'area': choose one of pinv, bic"):
        resample_kernel(_draw(5, 3, 14, 14), 16, 'area')


@pytest.mark.parametrize('kernel', ['pinv', 'bicubic'])
@pytest.mark.parametrize('grid', [1, 2, 4])
def test_every_way_in_resamples_as_it_is_told(tmp_path, grid, kernel):
    """Conversion to both targets, loading, and a config's init_cfg; with the sub-kernel sum."""
    state = _vit()
    expected = resample_kernel(state[KERNEL], 16, kernel)
    expected = sum(part for row in expected.chunk(grid, 2) for part in row.chunk(grid, 3))
    made = to_pevit(state, 'timm', ARCH, grid=grid, kernel=kernel)[0][KERNEL]
    torch.testing.assert_close(made, expected)
    detector, report = to_peyolos(state, 'timm', ARCH, grid=grid, kernel=kernel)
    assert torch.equal(detector[f'backbone.{KERNEL}'], made)
    assert f'resampled to (16, 16) by {kernel}' in report.adapted[KERNEL]
    model = PEViT(ARCH, grid=grid)
    assert torch.equal(adapt_state_dict(state, model, kernel)[0][KERNEL], made)
    path = str(tmp_path / 'vit.safetensors')
    write_state_dict(path, state)
    load_pretrained(model, path, kernel=kernel)
    assert torch.equal(model.patch_embed.proj.weight, made)
    built = PEViT(ARCH, grid=grid,
                  init_cfg=dict(type='Pretrained', checkpoint=path, kernel=kernel))
    built.init_weights()
    assert torch.equal(built.patch_embed.proj.weight, made)
