"""Kernels for mixed images, against what they are written out."""
from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from mmppvit.models.checkpoints import mix_kernel
from mmppvit.models.checkpoints.embedding import Embedding
from mmppvit.models.checkpoints.kernel_resampling import resample_kernel

SIZES = st.tuples(st.integers(1, 4), st.integers(1, 4))


def _kernel(seed: int, side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(5, 3, side, side, dtype=torch.float64, generator=generator)


@given(SIZES, st.integers(0, 9))
def test_kernel_is_the_sum_of_its_sub_kernels(size, seed):
    grid, side = size
    kernel = _kernel(seed, grid * side)
    expected = torch.zeros(5, 3, side, side, dtype=torch.float64)
    for a in range(grid):
        for b in range(grid):
            expected += kernel[..., a * side:(a + 1) * side, b * side:(b + 1) * side]
    torch.testing.assert_close(mix_kernel(kernel, grid), expected, rtol=1e-13, atol=1e-13)


@given(SIZES, st.integers(0, 9))
def test_embedding_the_mean_is_the_mean_of_the_embeddings(size, seed):
    """Of the sub-patches, and grid squared times that with the mean sub-kernel."""
    grid, side = size
    kernel = _kernel(seed, grid * side)
    patch = torch.randn(1, 3, grid * side, grid * side, dtype=torch.float64,
                        generator=torch.Generator().manual_seed(seed + 1))
    parts = [patch[..., a * side:(a + 1) * side, b * side:(b + 1) * side]
             for a in range(grid) for b in range(grid)]
    new = mix_kernel(kernel, grid)
    out = functional.conv2d(torch.stack(parts).mean(0), new)
    each = torch.stack([functional.conv2d(part, new) for part in parts])
    torch.testing.assert_close(out, each.mean(0), rtol=1e-12, atol=1e-12)
    mean = torch.stack([functional.conv2d(part, new / grid**2) for part in parts]).mean(0)
    torch.testing.assert_close(out, grid**2 * mean, rtol=1e-12, atol=1e-12)
    # Nothing is lost where the sub-patches are equal.
    tiled = parts[0].repeat(1, 1, grid, grid)
    torch.testing.assert_close(functional.conv2d(parts[0], new),
                               functional.conv2d(tiled, kernel), rtol=1e-12, atol=1e-12)


def test_grid_one_keeps_the_kernel():
    kernel = _kernel(0, 16)
    assert torch.equal(mix_kernel(kernel, 1), kernel)
    assert not Embedding(16, 1).must_adapt(kernel, plain=True)


@pytest.mark.parametrize(('side', 'patch', 'grid', 'plain', 'must'), [
    (16, 16, 2, True, True),
    (16, 16, 2, False, True),  # a whole patch: surely a plain one
    (8, 16, 2, False, False),  # a mixed one already
    (8, 16, 2, True, True),  # patches of 8 that have to be 16
    (8, 16, 1, True, True),
    (8, 8, 1, True, False),
    (8, 16, 1, False, False),  # does not fit, and nothing can be done
])
def test_what_must_be_adapted(side, patch, grid, plain, must):
    assert Embedding(patch, grid).must_adapt(_kernel(0, side), plain) == must


@pytest.mark.parametrize(('old', 'grid'), [(14, 2), (16, 2), (16, 4), (16, 1), (14, 1)])
def test_direct_takes_mixed_images_for_small_ones(old, grid):
    kernel = _kernel(0, old)
    made, how = Embedding(16, grid, resampling='direct').adapt(kernel)
    assert torch.equal(made, resample_kernel(kernel, 16 // grid))
    assert ('as for small images' in how) == (grid > 1)


def test_a_grid_that_does_not_divide_the_patch():
    with pytest.raises(ValueError, match='grid 3 does not divide the patch size 16'):
        Embedding(16, 3)
