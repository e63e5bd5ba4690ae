"""Blocks with less work are the blocks: results and gradients, in every mode that they run in."""
from __future__ import annotations

import pytest
import torch
from torch import nn

from mmppvit.models import YOLOSViT
from mmppvit.models.layers import build_blocks, read_last, run_block

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, mlp_ratio=4.)
COUNT = 5


def _block(drop_path: float = 0.) -> nn.Module:
    torch.manual_seed(0)
    block = build_blocks(ARCH, drop_path)[1].double()
    with torch.no_grad():
        for value in block.parameters():
            value.add_(.3 * torch.randn_like(value))
    return block.train()


def _mask(batch: int, tokens: int) -> torch.Tensor:
    mask = torch.rand(batch, 1, 1, tokens) < .6
    mask[..., 0] = True
    return mask


def _whole(block, x, mask):
    return block(x, attn_mask=mask)


def _compare(block, function, reference, masked: bool) -> None:
    x = torch.randn(3, 17, 24, dtype=torch.double)
    mask, goal = _mask(3, 17) if masked else None, None
    found = []
    for run in (function, reference):
        one = x.clone().requires_grad_()
        torch.manual_seed(1)  # of stochastic depth
        out = run(block, one, mask)
        goal = torch.randn_like(out) if goal is None else goal
        block.zero_grad()
        (out * goal).sum().backward()
        found.append([out, one.grad, *(value.grad.clone() for value in block.parameters())])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('drop_path', [0., .5])
def test_run_block(drop_path, masked):
    _compare(_block(drop_path), run_block, _whole, masked)


@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('drop_path', [0., .5])
def test_read_last(drop_path, masked):
    _compare(_block(drop_path), lambda block, x, mask: read_last(block, x, COUNT, mask),
             lambda block, x, mask: _whole(block, x, mask)[:, -COUNT:], masked)


@pytest.mark.parametrize('function', [run_block, lambda block, x: read_last(block, x, 17)])
def test_under_autocast_as_the_block(function):
    block, x = _block().float(), torch.randn(2, 17, 24)
    with torch.autocast('cpu', torch.bfloat16):
        got, want = function(block, x), block(x)
    assert got.dtype == want.dtype
    torch.testing.assert_close(got, want, atol=.05, rtol=.05)


def test_eager_blocks_stay_timms():
    block, x = _block(), torch.randn(2, 17, 24, dtype=torch.double)
    block.attn.fused_attn = False
    torch.testing.assert_close(run_block(block, x), block(x), atol=0, rtol=0)
    torch.testing.assert_close(read_last(block, x, COUNT), block(x)[:, -COUNT:], atol=0, rtol=0)


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize('shapes', [None, [(32, 48), (16, 40)]])
def test_detection_tokens_alone_and_with_patches(with_cp, shapes):
    """The two ways through the last block give the same tokens and the same gradients."""
    torch.manual_seed(0)
    model = YOLOSViT(dict(embed_dims=24, num_layers=3, num_heads=3), num_det_tokens=7,
                     table_size=(64, 96), mid_table_size=(64, 96), with_cp=with_cp).double()
    x = torch.randn(2, 3, 32, 48, dtype=torch.double)
    grads = []
    for with_patches in (False, True):
        out = model(x, shapes, with_patches)
        tokens = out[0] if with_patches else out
        model.zero_grad()
        tokens.square().sum().backward()
        grads.append({name: value.grad.clone() for name, value in model.named_parameters()})
        grads[-1]['tokens'] = tokens
    for name, got in grads[0].items():
        torch.testing.assert_close(got, grads[1][name], atol=1e-10, rtol=1e-8)


def test_what_is_kept_for_the_backward_pass():
    """Of the MLP nothing but its input; of the attention no norm."""
    block, x = _block(), torch.randn(1, 64, 24, dtype=torch.double, requires_grad=True)
    lean, whole = (_kept(run, block, x) for run in (run_block, _whole))
    assert lean < .5 * whole


def _kept(run, block: nn.Module, x: torch.Tensor) -> int:
    """Numbers that are kept beside the weights, those of views once."""
    sizes = {}

    def pack(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes() // value.element_size()
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        out = run(block, x, None)
    weights = {value.untyped_storage().data_ptr() for value in block.parameters()}
    assert out.shape == x.shape  # alive, and with it what was kept
    return sum(size for key, size in sizes.items() if key not in weights)
