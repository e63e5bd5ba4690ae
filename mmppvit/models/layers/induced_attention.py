"""Attention whose cost grows with the number of tokens, not with its square, and needs no order."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ['InducedAttention']


class InducedAttention(nn.Module):
    """Attention through learned points (induced set attention, Lee et al., arXiv 1810.00825).

    ``num_points`` learned queries gather what all tokens have, and every token reads from these.
    Windows, which other vision transformers save time by, need to know which tokens are
    neighbors. This one treats tokens as a set: reordering them reorders the result, and nothing
    else.

    Args:
        dim (int): D, channels of a token.
        num_heads (int): Of both steps.
        num_points (int): M; the cost is that of N * M pairs, twice.
    """

    def __init__(self, dim: int, num_heads: int, num_points: int) -> None:
        super().__init__()
        if dim % num_heads or num_points < 1:
            raise ValueError(f'dim {dim} must be a multiple of num_heads {num_heads}, and '
                             f'num_points {num_points} at least 1')
        self.num_heads = num_heads
        self.points = nn.Parameter(torch.empty(1, num_points, dim))
        nn.init.trunc_normal_(self.points, std=.02)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.gathered = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
                ) -> Tensor:
        """(B, N, D) -> (B, N, D).

        Args:
            x (Tensor): Tokens.
            attn_mask (Tensor, optional): (B, 1, 1, N) bool, False for tokens that do not count.
            is_causal (bool): timm's blocks give it; a set has no order, so it must be False.
        """
        if is_causal:
            raise ValueError('tokens are a set here: is_causal has no meaning')
        query, key, value = (self._heads(part) for part in self.qkv(x).chunk(3, -1))
        points = self._heads(self.points.to(x.dtype)).expand(len(x), -1, -1, -1)
        pooled = functional.scaled_dot_product_attention(points, key, value, attn_mask)
        key, value = (self._heads(part) for part in
                      self.gathered(self._join(pooled)).chunk(2, -1))
        return self.proj(self._join(functional.scaled_dot_product_attention(query, key, value)))

    def _heads(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, heads, N, D / heads)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _join(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)
