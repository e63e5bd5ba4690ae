"""timm's blocks as :func:`build_blocks` makes them, with less work and less memory.

The same weights, operations and results to float rounding:

- :func:`run_block` keeps neither norms nor the MLP's hidden layer for the backward pass, but
  computes them again, about 5 % of a step: of 16 values per token and channel it keeps 6;
- :func:`read_last` computes the last block for the tokens that somebody reads, and for the others
  only the keys and values that those attend to.
"""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

__all__ = ['read_last', 'run_block']


def run_block(block: nn.Module, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """``block(x, attn_mask=mask)``.

    Args:
        block (Module): Of :func:`build_blocks`.
        x (Tensor): (B, N, D).
        mask (Tensor, optional): (B, 1, 1, N) bool, False for keys that nobody attends to.
    """
    if not block.attn.fused_attn:
        return block(x, attn_mask=mask)
    qkv = _forgetting(lambda x: block.attn.qkv(block.norm1(x)), x)
    query, key, value = _by_head(block, qkv, 3)
    x = x + block.drop_path1(_attend(block, query, key, value, mask))
    return _add_mlp(block, x)


def read_last(block: nn.Module, x: Tensor, count: int, mask: Tensor | None = None) -> Tensor:
    """``block(x, attn_mask=mask)[:, -count:]``.

    Args:
        block (Module): Of :func:`build_blocks`.
        x (Tensor): (B, N, D).
        count (int): Q, the tokens at the end that are read.
        mask (Tensor, optional): (B, 1, 1, N) bool, False for keys that nobody attends to.

    Returns:
        Tensor: (B, Q, D).
    """
    if not block.attn.fused_attn:
        return block(x, attn_mask=mask)[:, -count:]
    dims, layer = x.shape[2], block.attn.qkv
    read = x[:, -count:]
    query = functional.linear(block.norm1(read), layer.weight[:dims], layer.bias[:dims])
    pairs = _forgetting(lambda x: functional.linear(
        block.norm1(x), layer.weight[dims:], layer.bias[dims:]), x)
    (query, ), (key, value) = _by_head(block, query, 1), _by_head(block, pairs, 2)
    read = read + block.drop_path1(_attend(block, query, key, value, mask))
    return _add_mlp(block, read)


def _by_head(block: nn.Module, x: Tensor, parts: int) -> tuple[Tensor, ...]:
    """(B, N, parts * D) -> ``parts`` times (B, H, N, D / H)."""
    batch, tokens, _ = x.shape
    x = x.reshape(batch, tokens, parts, block.attn.num_heads, -1)
    return x.permute(2, 0, 3, 1, 4).unbind(0)


def _attend(block: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
            ) -> Tensor:
    out = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return block.attn.proj(out.transpose(1, 2).flatten(2))


def _add_mlp(block: nn.Module, x: Tensor) -> Tensor:
    return x + block.drop_path2(_forgetting(lambda x: block.mlp(block.norm2(x)), x))


def _forgetting(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``function(x)``, which keeps ``x`` and no more for the backward pass.

    PyTorch stops computing again at the last tensor that is needed, which here is what goes into
    the linear layer at the end: the layer itself is not run twice.
    """
    if not (torch.is_grad_enabled() and x.requires_grad):
        return function(x)
    return checkpoint(function, x, use_reentrant=False, preserve_rng_state=False)
