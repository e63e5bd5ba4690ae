"""A transformer over all pieces of an image that tells in which cell of the grid each one lies."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mmppvit.attacks.attackers.interface import Budget, Pair
from mmppvit.attacks.attackers.jigsaw.compatibility import PairScores
from mmppvit.attacks.attackers.jigsaw.learned_scores import (
    SideBySide,
    in_order,
    learned_scores,
)
from mmppvit.attacks.attackers.jigsaw.pieces import Pieces, cut_pieces
from mmppvit.attacks.networks.default_device import on_device, on_gpu
from mmppvit.attacks.networks.place_bins import log_places
from mmppvit.attacks.networks.restoration import in_bfloat16
from mmppvit.attacks.networks.training import initial_weights, train
from mmppvit.encryption import MIDDLE_LEVEL, Scheme

__all__ = ['CellNetwork', 'cell_odds', 'fit_cells']

_SIDES = 4  # right, left, below, above
_FREE = 4  # heads that begin without a side
_BATCH = 2  # images a step
_MOST_LEARNED = 800  # pieces of an image at a time: attention takes the square of it
_CUTS = 4  # of each image, that are learned from
_MOST_KEPT = 2**29  # bytes of images ready to learn from; on a GPU a quarter of what is free


class CellNetwork(nn.Module):
    """Row and column of every piece, from all pieces of an image and how well they fit together.

    A transformer without positions, so that the order in which it gets pieces does not matter. The
    log-odds of being neighbors are added to the logits of attention, for each head by weights of
    its own: four heads begin by looking at the likely neighbor on one side each. What a piece has
    found out about its place so reaches its neighbors block by block, as in belief propagation,
    and what it looks like and the rest of the image tell the beginning. Permutations are predicted
    in one step here, which JPDVT (Liu et al., CVPR 2024) and positional diffusion (Giuliari et al.,
    arXiv 2303.11120) do by denoising positions in many; neither sees borders at full resolution.

    Args:
        side (int): Of the pieces in pixels, without the eroded border.
        dim (int): Width, a multiple of 8.
        depth (int): Blocks.
        bins (int): Classes for each of rows and columns, which are shares of height and width, so
            that images of all sizes mean the same.
    """

    def __init__(self, side: int, dim: int = 128, depth: int = 4, bins: int = 32) -> None:
        super().__init__()
        self.bins = bins
        side = min(side, 8)
        self.coarse = nn.AdaptiveAvgPool2d(side)
        self.embed = nn.Sequential(
            nn.Linear(3 * side**2, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        heads = _SIDES + _FREE
        self.blocks = nn.ModuleList(Block(dim, heads, qkv_bias=True) for _ in range(depth))
        self.looks = nn.Parameter(torch.eye(heads, _SIDES).repeat(depth, 1, 1))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 2 * bins)

    def forward(self, inner: Tensor, odds: Tensor) -> Tensor:
        """(N, s, s, 3) about 128, (4, N, N) log-odds -> (N, 2, bins) logits."""
        inner = ((inner - MIDDLE_LEVEL) / 64).permute(0, 3, 1, 2)
        return self._scores(self.coarse(inner).flatten(1), odds).unflatten(-1, (2, self.bins))

    @in_bfloat16
    def _scores(self, looks: Tensor, odds: Tensor) -> Tensor:
        x = self.embed(looks)[None]
        for block, weights in zip(self.blocks, self.looks, strict=True):
            x = block(x, attn_mask=torch.einsum('hd,dij->hij', weights, odds)[None])
        return self.head(self.norm(x))[0]


def _sides(right: Tensor, below: Tensor) -> Tensor:
    """(4, N, N): log-odds that the second piece is right of, left of, below, above the first."""
    return torch.stack([right, right.T, below, below.T])


def _dense(scores: PairScores) -> Tensor:
    """(2, N, N)."""
    pieces = np.arange(len(scores.right))  # indices make candidates of thousands dense as well
    return on_device(np.stack([matrix[pieces[:, None], pieces] for matrix in scores]))


def cell_odds(net: CellNetwork, pieces: Pieces, scores: PairScores, doubt: float = .1
              ) -> np.ndarray:
    """Log-odds of every piece for every cell against one picked at random.

    Args:
        net (CellNetwork): Trained.
        pieces (Pieces): Of one image.
        scores (PairScores): Of all of its pairs.
        doubt (float): Share of the probability that is spread over all cells.

    Returns:
        ndarray: float32 (cells, pieces), cells row by row.
    """
    with torch.inference_mode():
        row, col = log_places(net(on_device(pieces.inner), _sides(*_dense(scores))), pieces.shape)
        share = (row[:, :, None] + col[:, None]).flatten(1).T.exp().cpu().numpy()
    odds = np.log((1 - doubt) * share * share.shape[0] + doubt).astype(np.float32)
    odds[:, pieces.blank] = 0
    return odds


def fit_cells(side_by_side: SideBySide, learn: Sequence[Pair], held: Sequence[Pair],
              scheme: Scheme, budget: Budget, seed: int, max_steps: int,
              depth: int = 4) -> tuple[CellNetwork, float]:
    """Train :class:`CellNetwork` on images in order, which it cannot tell from shuffled ones.

    Args:
        side_by_side (SideBySide): Scores pairs; stays as it is.
        learn (Sequence[Pair]): Images encrypted as the victims are.
        held (Sequence[Pair]): Others, by which the best weights are chosen.
        scheme (Scheme): How.
        budget (Budget): Of time.
        seed (int): Of initial weights and of draws.
        max_steps (int): At most, of two images each.
        depth (int): Blocks.

    Returns:
        tuple[CellNetwork, float]: The network, and its cross-entropy on ``held``.

    Raises:
        BudgetExceeded: Nothing was learned in the time.
    """
    with initial_weights(seed):
        net = CellNetwork(scheme.side - 2 * scheme.erode, depth=depth)
    net.to(torch.get_default_device())
    prepared = _PreparedImages(side_by_side, scheme, seed)

    def loss() -> Tensor:
        chosen = prepared.rng.integers(len(learn), size=_BATCH)
        return torch.stack([_misplaced(net, prepared.draw(learn[k])) for k in chosen]).mean()

    def validate() -> float:
        return float(np.mean([_misplaced(net, prepared.get(pair, 0)).item() for pair in held]))

    return net, train(net, loss, validate, budget, max_steps)


class _Prepared(NamedTuple):
    """``inner`` of :class:`Pieces`, which of them show something, float16 (2, N, N), and (N, 2)
    where in shape.
    """
    inner: Tensor
    shown: Tensor
    odds: Tensor
    places: Tensor
    shape: tuple[int, int]


class _PreparedImages:
    """Pieces and their scores, which take longer than a step of learning, kept while memory lasts.

    Of each image there are the one as it is and others, cut anew by less than a patch elsewhere.
    """

    def __init__(self, side_by_side: SideBySide, scheme: Scheme, seed: int) -> None:
        self.side_by_side, self.scheme = side_by_side, scheme
        self.rng = np.random.default_rng(seed)
        self.left = _MOST_KEPT
        if on_gpu():
            self.left = torch.cuda.mem_get_info(torch.get_default_device())[0] // 4
        self._kept: dict[tuple[str, int], _Prepared] = {}

    def draw(self, pair: Pair) -> _Prepared:
        return self.get(pair, int(self.rng.integers(_CUTS)))

    def get(self, pair: Pair, cut: int) -> _Prepared:
        """0: the image as it is."""
        known = self._kept.get((pair.name, cut))
        if known is not None:
            return known
        made = self._prepare(pair, cut)
        self.left -= made.odds.nbytes + 4 * made.inner.numel()
        if self.left > 0:
            self._kept[pair.name, cut] = made
        return made

    def _prepare(self, pair: Pair, cut: int) -> _Prepared:
        pieces = cut_pieces(self._in_order(pair, cut), self.scheme)
        shape = pieces.shape
        chosen = np.arange(shape[0] * shape[1])
        if len(chosen) > _MOST_LEARNED:
            rows, cols = (_run(extent, self.rng) for extent in shape)
            chosen = (rows[:, None] * shape[1] + cols).ravel()
            pieces = Pieces(pieces.inner[chosen], pieces.blank[chosen], (len(rows), len(cols)),
                            pieces.gap)
        scores = learned_scores(self.side_by_side, pieces)
        return _Prepared(on_device(pieces.inner), on_device(np.flatnonzero(~pieces.blank)),
                         on_device(np.stack(scores).astype(np.float16)),
                         on_device(np.stack(np.divmod(chosen, shape[1]), 1)), shape)

    def _in_order(self, pair: Pair, cut: int) -> np.ndarray:
        size = self.scheme.patch_size
        if not cut or min(pair.plain.shape[:2]) < 3 * size:
            return in_order(pair, self.scheme)
        y, x = (int(step) for step in self.rng.integers(size, size=2))
        height, width = (extent - size for extent in pair.plain.shape[:2])
        plain = np.ascontiguousarray(pair.plain[y:y + height, x:x + width])
        return self.scheme.in_order(plain, pair.name)


def _run(count: int, rng: np.random.Generator) -> np.ndarray:
    """So many rows or columns that follow each other as may be learned from at a time."""
    extent = min(count, int(_MOST_LEARNED**.5))
    return int(rng.integers(count - extent + 1)) + np.arange(extent)


def _misplaced(net: CellNetwork, image: _Prepared) -> Tensor:
    """Cross-entropy of rows and columns, of the pieces that show something."""
    scores = net(image.inner, _sides(*image.odds.float()))
    lost = sum(F.cross_entropy(logs, place, reduction='none') for logs, place
               in zip(log_places(scores, image.shape), image.places.T, strict=True)) / 2
    return lost[image.shown].mean()
