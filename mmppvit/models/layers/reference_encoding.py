"""Reference-based encoding."""
from __future__ import annotations

import torch
from timm.layers import trunc_normal_
from torch import nn

__all__ = ['ReferenceEncoding']


class ReferenceEncoding(nn.Module):
    """RPE: encode a token by its relation to a learned reference, not by its place.

    ``x + sigmoid(W2 relu(W1 (x - r)))`` with one vector ``r`` for all tokens (Hao et al., arXiv
    2306.03679). Every token is treated alike, so the order of the tokens does not matter.

    Args:
        embed_dims (int): D, channels of a token.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.reference = nn.Parameter(torch.zeros(embed_dims))
        self.fc1 = nn.Linear(embed_dims, embed_dims)
        self.fc2 = nn.Linear(embed_dims, embed_dims)
        trunc_normal_(self.reference, std=.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) -> (B, N, D)."""
        return x + self.fc2(self.fc1(x - self.reference).relu()).sigmoid()
