"""Learned compatibility: which piece is right of which, from images whose order is known."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mmppvit.attacks.attackers.interface import Budget, BudgetExceeded, Pair
from mmppvit.attacks.attackers.jigsaw.assembly import MOST_DENSE
from mmppvit.attacks.attackers.jigsaw.candidates import (
    CandidateMatrix,
    candidate_matrix,
    log_gradient_costs,
    without_self,
)
from mmppvit.attacks.attackers.jigsaw.compatibility import (
    PairScores,
    gradient_costs,
    log_odds_of_logits,
)
from mmppvit.attacks.attackers.jigsaw.pair_costs import log_pair_costs
from mmppvit.attacks.attackers.jigsaw.pieces import Pieces, cut_pieces
from mmppvit.attacks.networks.default_device import on_cpu, on_device, on_gpu
from mmppvit.attacks.networks.training import initial_weights
from mmppvit.encryption import MIDDLE_LEVEL, Scheme, unshuffle_patches

__all__ = ['SideBySide', 'fit_side_by_side', 'in_order', 'learned_scores']

_LEARNING_RATE, _WEIGHT_DECAY = 2e-3, .05
_WINDOW = 28  # pieces on a side, of what is learned from at a time in images of many


class SideBySide(nn.Module):
    """Logits that one piece is right of another, for all pairs of an image at once.

    Every piece is embedded as it is and mirrored, so that a score is a dot product and all pairs
    are one product of matrices: the lines along the seam by a CNN, the whole by an MLP. By
    construction the score of (i, j) is that of (mirrored j, mirrored i), and ``below`` is
    ``right`` of transposed pieces. Hand-made costs are added with learned weights, so that the
    sum is no worse than they are.

    Args:
        side (int): Of the pieces in pixels, without the eroded border.
        width (int): Of the hidden layers.
        dims (int): Of the embedding of the whole, of each of two heads.
        line_dims (int): The same of every line along the seam.
        reach (int): Pixels from the seam that the CNN sees.
        exponents (tuple[float, float]): Weights of the costs before training, plain and blind.
    """

    def __init__(self, side: int, width: int = 128, dims: int = 64, line_dims: int = 12,
                 reach: int = 8, exponents: tuple[float, float] = (1., .5)) -> None:
        super().__init__()
        self.reach = min(reach, side)
        self.coarse = nn.AdaptiveAvgPool2d(min(side, 8))
        self.whole = nn.Sequential(
            nn.Linear(3 * min(side, 8)**2, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.whole_heads = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * dims))
        self.lines_in = nn.Conv1d(3 * self.reach, width // 2, 3, padding=1)
        self.lines_gain = nn.Linear(width, width)
        self.lines = nn.Sequential(
            nn.GELU(), nn.Conv1d(width // 2, width // 2, 3, padding=1), nn.GELU())
        self.line_heads = nn.Conv1d(width // 2, 2 * line_dims, 1)
        self.scale = (dims + side * line_dims)**-.5
        self.exponents = nn.Parameter(torch.tensor(exponents))

    def forward(self, inner: Tensor, costs: Tensor) -> Tensor:
        """(N, s, s, 3) about 128, (2, N, N) logarithms of costs -> (N, N), -inf on the diagonal."""
        first, second = self.embeddings(inner)
        logits = first @ second.T
        logits = logits - (self.exponents[:, None, None] * costs).sum(0)
        return logits.masked_fill(torch.eye(
            len(inner), dtype=torch.bool, device=logits.device), -torch.inf)

    def embeddings(self, inner: Tensor) -> tuple[Tensor, Tensor]:
        """(N, s, s, 3) about 128 -> two of (N, D), whose products are logits but for the costs."""
        inner = ((inner - MIDDLE_LEVEL) / 64).permute(0, 3, 1, 2)
        one, two = self._embed(inner)
        three, four = self._embed(inner.flip(3))
        return torch.cat([one, two], 1) * self.scale, torch.cat([four, three], 1)

    def _embed(self, inner: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, s, s) -> two heads of the right border, (N, dims + s * line_dims) each."""
        whole = self.whole(self.coarse(inner).flatten(1))
        lines = inner[..., -self.reach:].transpose(2, 3).flatten(1, 2)  # n (c reach) s
        gain, bias = self.lines_gain(whole)[:, :, None].chunk(2, 1)
        lines = self.line_heads(self.lines(self.lines_in(lines) * (1 + gain) + bias))
        return tuple(torch.cat([w, line.flatten(1)], 1) for w, line in zip(
            self.whole_heads(whole).chunk(2, 1), lines.chunk(2, 1), strict=True))


def _log_costs(inner: np.ndarray, gap: int) -> Tensor:
    """(2, N, N): logarithms of the costs, plain and blind to offsets.

    Off the CPU they are computed there, as NumPy takes longer than a step of learning.
    """
    if not on_cpu():
        return log_pair_costs(on_device(inner), gap)
    costs = np.stack([gradient_costs(inner, gap, blind) for blind in (False, True)])
    costs[:, np.arange(len(inner)), np.arange(len(inner))] = 1
    return on_device(np.log(costs + np.float32(1e-3)))


def learned_scores(net: SideBySide, pieces: Pieces, doubt: float = .1) -> PairScores:
    """Log-odds of all pairs of ``pieces``, or of candidates; ``doubt`` as in ``log_odds``."""
    if len(pieces.inner) > MOST_DENSE:
        return PairScores(*(_candidates(net, inner, pieces, doubt) for inner in (
            pieces.inner, np.ascontiguousarray(pieces.inner.swapaxes(1, 2)))))
    out = []
    with torch.no_grad():
        for inner in (pieces.inner, np.ascontiguousarray(pieces.inner.swapaxes(1, 2))):
            logits = net(on_device(inner), _log_costs(inner, pieces.gap))
            out.append(_log_odds(logits, doubt))
    return PairScores(*out)


def _log_odds(logits: Tensor, doubt: float) -> np.ndarray:
    """:func:`log_odds_of_logits`, computed where the logits are."""
    if on_cpu():
        return log_odds_of_logits(logits.numpy(), doubt)
    shares = (logits.softmax(axis) * (len(logits) * (1 - doubt)) for axis in (0, 1))
    return sum(.5 * (share + doubt).log() for share in shares).cpu().numpy()


def _candidates(net: SideBySide, inner: np.ndarray, pieces: Pieces, doubt: float
                ) -> CandidateMatrix:
    with torch.no_grad():
        first, second = (part.cpu().numpy() for part in net.embeddings(on_device(inner)))
    weights = net.exponents.detach().tolist()
    costs = [log_gradient_costs(inner, pieces.gap, blind) for blind in (False, True)]

    def logits(one: np.ndarray, other: np.ndarray, side: int):
        return without_self(lambda part: one[part] @ other.T - sum(
            weight * cost[side](part) for weight, cost in zip(weights, costs, strict=True)))

    return candidate_matrix(logits(first, second, 0), logits(second, first, 1), len(inner),
                            pieces.blank, doubt)


def in_order(pair: Pair, scheme: Scheme) -> np.ndarray:
    """``pair.encrypted`` with the shuffling undone: by its order, or from the plain image."""
    if pair.order is not None:
        return unshuffle_patches(pair.encrypted, scheme.side, pair.order)
    return scheme.in_order(pair.plain, pair.name)


def fit_side_by_side(pairs: Sequence[Pair], scheme: Scheme, budget: Budget, seed: int = 0,
                     steps: int = 2000) -> tuple[SideBySide, float]:
    """Train :class:`SideBySide`: one image a step, every piece against all others in it.

    Args:
        pairs (Sequence[Pair]): Images encrypted as the victims are.
        scheme (Scheme): How.
        budget (Budget): The learning rate falls to 0 when it is used up, or after ``steps``.
        seed (int): Of initial weights and of draws.
        steps (int): At most; with a budget that does not end earlier, the result is the same
            every time.

    Returns:
        tuple[SideBySide, float]: The network, and its mean loss in the last tenth of the learning.

    Raises:
        ValueError: There is no pair to learn from.
        BudgetExceeded: There was no time for a single step.
    """
    if not pairs:
        raise ValueError('learning which pieces fit needs pairs, got none')
    rng = np.random.default_rng(seed)
    with initial_weights(seed):
        lost = scheme.centers and scheme.center_strength == 1  # nothing of the means is left
        net = SideBySide(scheme.side - 2 * scheme.erode,
                         exponents=(.2, 1.3) if lost else (1., .5))
    net.to(torch.get_default_device())
    optimizer = torch.optim.AdamW(net.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY,
                                  fused=on_gpu())
    queue: list[int] = []
    late: list[Tensor] = []
    for step in range(steps):
        share = max(budget.share_used, step / steps)
        if share >= 1:
            if step == 0:
                raise BudgetExceeded('no time to learn which pieces fit')
            break
        queue = queue or rng.permutation(len(pairs)).tolist()
        optimizer.param_groups[0]['lr'] = _LEARNING_RATE * min(
            1, (step + 1) / 20) * (1 + np.cos(np.pi * share)) / 2
        # Cut when needed: the pieces of 400 images of 1333x800 would take 5 GB.
        ordered = _window(in_order(pairs[queue.pop()], scheme), scheme.side, rng)
        loss = _loss(net, *_turned(cut_pieces(ordered, scheme), rng))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        late = [*late * (share >= .9), loss.detach()]  # to read it now would wait for a GPU
    return net.eval(), float(np.mean([value.item() for value in late]))


def _window(img: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Of an image of many pieces a part, drawn at random: steps would take seconds and GB."""
    whole = tuple(extent // side for extent in img.shape[:2])
    if whole[0] * whole[1] <= MOST_DENSE:
        return img
    rows, cols = (min(extent, _WINDOW) for extent in whole)
    y, x = (int(rng.integers(extent - part + 1)) * side
            for extent, part in zip(whole, (rows, cols), strict=True))
    return img[y:y + rows * side, x:x + cols * side]


def _turned(pieces: Pieces, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """Grid of pieces (rows, cols, s, s, 3), flipped and turned at random, blanks, gap."""
    grid = pieces.inner.reshape(*pieces.shape, *pieces.inner.shape[1:])
    blank = pieces.blank.reshape(pieces.shape)
    if rng.random() < .5:
        grid, blank = grid.transpose(1, 0, 3, 2, 4), blank.T
    if rng.random() < .5:
        grid, blank = grid[::-1, :, ::-1], blank[::-1]
    if rng.random() < .5:
        grid, blank = grid[:, ::-1, :, ::-1], blank[:, ::-1]
    if rng.random() < .5:
        grid = grid[..., rng.permutation(grid.shape[-1])]
    return grid, blank, pieces.gap


def _loss(net: SideBySide, grid: np.ndarray, blank: np.ndarray, gap: int) -> Tensor:
    """Cross-entropy of the right neighbor of each piece, and of the left one."""
    inner = np.ascontiguousarray(grid.reshape(-1, *grid.shape[2:]))
    places = np.arange(len(inner)).reshape(blank.shape)
    known = ~(blank[:, :-1] | blank[:, 1:])
    left, right = (on_device(p[known]) for p in (places[:, :-1], places[:, 1:]))
    logits = net(on_device(inner), _log_costs(inner, gap))
    return F.cross_entropy(logits[left], right) + F.cross_entropy(logits.T[right], left)
