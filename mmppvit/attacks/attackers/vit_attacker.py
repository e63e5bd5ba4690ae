"""ViT attacker: a transformer that finds places of patches, and what was mixed in them."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, as everywhere
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from mmppvit.attacks.attackers.interface import Attacker, Budget, Pair, Reconstruction
from mmppvit.attacks.networks.default_device import on_device
from mmppvit.attacks.networks.initial_image import InitialImage
from mmppvit.attacks.networks.likely_order import assign_likeliest
from mmppvit.attacks.networks.place_bins import log_places, shares_of_bins
from mmppvit.attacks.networks.restoration import (
    KnownMixing,
    in_bfloat16,
    restoration_loss,
    to_image,
    to_tensor,
)
from mmppvit.attacks.networks.training import (
    PairSampler,
    initial_weights,
    part_of,
    split_pairs,
    train,
)
from mmppvit.encryption import Scheme, unshuffle_patches

__all__ = ['PatchNetwork', 'PositionNetwork', 'ViTAttacker', 'assign_places']

_IMAGES_FOR_START = 16
_MOST_PATCHES = 1024  # of an image at a time: attention takes their square, assignment their cube
_MOST_ORDERED = 64  # larger images that are put in order to learn from


def _tokens(imgs: Tensor, side: int) -> Tensor:
    """``b c (h p) (w q) -> b (h w) (c p q)``."""
    return F.unfold(imgs, side, stride=side).transpose(1, 2)


class PositionNetwork(nn.Module):
    """Row and column of every patch of a shuffled image, from all of its patches.

    A transformer without positions. Rows and columns are shares of height and width, in ``bins``
    classes each, so that images of all sizes mean the same.

    Args:
        side (int): Of a patch in pixels of the encrypted image.
        dim (int): Width, a multiple of 64.
        depth (int): Blocks.
        bins (int): Classes for each of rows and columns.
    """

    def __init__(self, side: int, dim: int = 192, depth: int = 6, bins: int = 32) -> None:
        super().__init__()
        self.side, self.bins = side, bins
        self.embed = nn.Sequential(
            nn.Linear(3 * side**2, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.blocks = nn.Sequential(*(Block(dim, dim // 64, qkv_bias=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 2 * bins)

    def forward(self, imgs: Tensor, chosen: Tensor | None = None) -> Tensor:
        """(B, 3, h, w) -> log-probabilities (B, N, 2, bins) of rows and columns.

        ``chosen``, int64 (N, ): these patches alone, which then are all that the others see.
        """
        tokens = _tokens(imgs, self.side)
        scores = self._scores(tokens if chosen is None else tokens[:, chosen])
        return scores.unflatten(-1, (2, self.bins)).log_softmax(-1)

    @in_bfloat16
    def _scores(self, tokens: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embed(2 * tokens))))

    def places(self, count: int) -> Tensor:
        """(count, bins): the share of every class in the rows, or columns, of an image."""
        return shares_of_bins(count, self.bins)


def assign_places(scores: np.ndarray, rows: int, cols: int, row_shares: np.ndarray,
                  col_shares: np.ndarray) -> np.ndarray:
    """The permutation of the greatest sum of log-probabilities.

    Of more than 1,024 patches not quite, see :func:`.likely_order.assign_likeliest`.

    Args:
        scores (ndarray): (N, 2, bins) log-probabilities, N = rows * cols.
        rows, cols (int): Of the image.
        row_shares, col_shares (ndarray): (rows, bins) and (cols, bins).

    Returns:
        ndarray: int64 (N, ): patch k belongs to place ``order[k]``, counted row by row.
    """
    total = ((scores[:, 0] @ row_shares.T)[:, :, None]
             + (scores[:, 1] @ col_shares.T)[:, None]).reshape(len(scores), rows * cols)
    return assign_likeliest(total, _MOST_PATCHES)


class PatchNetwork(nn.Module):
    """Plain patches from encrypted ones in order.

    A transformer over patches; a convolution over the neighbors ahead of every block tells where
    they are, at any size (Chu et al., *Conditional positional encodings*, arXiv 2102.10882). It
    adds to a start and meets what is known, as the inverse network does.

    Args:
        scheme (Scheme): Of the images.
        dim (int): Width, a multiple of 64.
        depth (int): Blocks.
    """

    def __init__(self, scheme: Scheme, dim: int = 256, depth: int = 6) -> None:
        super().__init__()
        self.side, self.size = scheme.side, scheme.patch_size
        self.mixing = KnownMixing(scheme) if KnownMixing.applies(scheme) else None
        self.embed = nn.Linear(3 * self.side**2 + 3 * self.size**2, dim)
        self.around = nn.ModuleList(
            nn.Conv2d(dim, dim, 3, padding=1, groups=dim) for _ in range(depth))
        self.blocks = nn.ModuleList(Block(dim, dim // 64, qkv_bias=True) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 3 * self.size**2)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, encrypted: Tensor, start: Tensor) -> Tensor:
        """(B, 3, h, w) and (B, 3, H, W) -> (B, 3, H, W), all of range -0.5 to 0.5."""
        rows, cols = (extent // self.side for extent in encrypted.shape[2:])
        tokens = torch.cat([_tokens(encrypted, self.side), _tokens(start, self.size)], 2)
        patches = self._patches(tokens, rows, cols).transpose(1, 2)
        restored = start + F.fold(patches, start.shape[2:], self.size, stride=self.size)
        if self.mixing is not None:
            restored = self.mixing.project(restored, encrypted)
        return restored

    @in_bfloat16
    def _patches(self, tokens: Tensor, rows: int, cols: int) -> Tensor:
        x = self.embed(2 * tokens)
        for around, block in zip(self.around, self.blocks, strict=True):
            grid = x.transpose(1, 2).unflatten(2, (rows, cols))
            x = block(x + around(grid).flatten(2).transpose(1, 2))
        return self.head(self.norm(x))


class ViTAttacker(Attacker):
    """Transformers that predict every patch's place (shuffled) and its plain pixels (mixed).

    It stands for the transformer that Hao et al. (arXiv 2306.03679) attack their encryption with;
    no code of theirs was released. Places come from :class:`PositionNetwork` as a permutation of
    the greatest likelihood. Pixels come from :class:`PatchNetwork`, which, after shuffling, learns
    on images ordered by the first one, as it will have to work on such. Where nothing was mixed
    or centered and the sizes are the same, patches in order are the image, and the second is
    left out.

    Args:
        scheme (Scheme): How the images were encrypted.
        seed (int): Of all random draws.
        max_steps (int): Of each network, where the budget allows more.
        depth (int): Blocks of each network.
    """
    name = 'vit'
    title = 'ViT attacker: transformers that predict the places of patches and their plain pixels'
    needs = 'pairs of images that it encrypts itself'

    def __init__(self, scheme: Scheme, seed: int = 0, max_steps: int = 10000,
                 depth: int = 6) -> None:
        super().__init__(scheme, seed)
        self.max_steps = max_steps
        with initial_weights(seed):
            self._places = None
            if scheme.shuffles:
                self._places = PositionNetwork(scheme.side, depth=depth)
            self._pixels = None if scheme.restorable else PatchNetwork(scheme, depth=depth)
        for net in filter(None, (self._places, self._pixels)):
            net.to(torch.get_default_device())
        self._starter = InitialImage(scheme, ordered=True)

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        learn, held = split_pairs(pairs, self.seed)
        if self._places is not None:
            share = 1. if self._pixels is None else .6
            self._fit_places(learn, held, part_of(budget, share))
        if self._pixels is not None:
            self._fit_pixels(learn, held, part_of(budget, 1.))

    def _fit_places(self, learn: list[Pair], held: list[Pair], budget: Budget) -> None:
        sampler = PairSampler(self.scheme, learn, self.seed, turn=False)

        def loss() -> Tensor:
            chosen = sampler.rng.integers(len(learn), size=4)
            # One after the other, as their sizes differ.
            return torch.stack([
                self._misplaced(sampler.whole(learn[k]), sampler.rng) for k in chosen]).mean()

        def validate() -> float:
            rng = np.random.default_rng(self.seed)
            return float(np.mean([self._misplaced(pair, rng).item() for pair in held]))

        self.error = train(self._places, loss, validate, budget, self.max_steps, lr=5e-4)

    def _misplaced(self, pair: Pair, rng: np.random.Generator) -> Tensor:
        """Cross-entropy of rows and columns, of a part of the patches where there are many."""
        rows, cols = (extent // self.scheme.side for extent in pair.encrypted.shape[:2])
        order, chosen = on_device(pair.order), None
        if len(order) > _MOST_PATCHES:
            chosen = on_device(rng.choice(len(order), _MOST_PATCHES, replace=False))
            order = order[chosen]
        row, col = log_places(self._places(to_tensor(pair.encrypted), chosen)[0], (rows, cols))
        return (F.cross_entropy(row, order // cols) + F.cross_entropy(col, order % cols)) / 2

    def _fit_pixels(self, learn: list[Pair], held: list[Pair], budget: Budget) -> None:
        in_order = self._places is None
        # Turned images have sky below: the places would come out worse than of victims.
        sampler = PairSampler(self.scheme, learn, self.seed + 1, turn=in_order)
        size = self.scheme.patch_size
        patches = min([8, *(min(p.plain.shape[:2]) // size - 1 for p in learn)])
        patches = max(patches, 1)
        large = not in_order and any(
            len(pair.order) > _MOST_PATCHES for pair in (*learn, *held))
        stock = self._make_stock(sampler, part_of(budget, 1 / 3)) if large else []
        self._starter.fit(stock[:_IMAGES_FOR_START]
                          or self._put_in_order(learn[:_IMAGES_FOR_START]))
        held = self._put_in_order(held[:1] if stock else held)

        def loss() -> Tensor:
            if in_order:
                return self._difference(sampler.crops(8, patches * size))
            return self._difference([sampler.cut(pair, patches)
                                     for pair in self._draw(sampler, stock) for _ in range(2)])

        self.error = train(self._pixels, loss, lambda: float(np.mean(
            [self._difference([pair]).item() for pair in held])), budget, self.max_steps)

    def _make_stock(self, sampler: PairSampler, budget: Budget) -> list[Pair]:
        """Images put in order, one at least: large ones take seconds each, too long for a step."""
        learn, stock = sampler.pairs, []
        while not stock or (not budget.exhausted and len(stock) < _MOST_ORDERED):
            stock += self._put_in_order([sampler.whole(learn[len(stock) % len(learn)])])
        return stock

    def _draw(self, sampler: PairSampler, stock: Sequence[Pair]) -> list[Pair]:
        """Four images put in order: of the stock, if there is one, or encrypted anew."""
        if stock:
            return [stock[int(sampler.rng.integers(len(stock)))] for _ in range(4)]
        learn = sampler.pairs
        return self._put_in_order([
            sampler.whole(learn[int(sampler.rng.integers(len(learn)))]) for _ in range(4)])

    def _put_in_order(self, pairs: Sequence[Pair]) -> list[Pair]:
        return [Pair(pair.name, self._ordered(pair.encrypted)[0], pair.plain) for pair in pairs]

    def _difference(self, pairs: Sequence[Pair]) -> Tensor:
        restored = self._restore(np.stack([pair.encrypted for pair in pairs]))
        return restoration_loss(restored, to_tensor(np.stack([pair.plain for pair in pairs])))

    def _ordered(self, encrypted: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        if self._places is None:
            return encrypted, None
        side = self.scheme.side
        rows, cols = (extent // side for extent in encrypted.shape[:2])
        with torch.inference_mode():
            scores = self._places(to_tensor(encrypted))[0].double().cpu().numpy()
        shares = [self._places.places(count).double().cpu().numpy() for count in (rows, cols)]
        order = assign_places(scores, rows, cols, *shares)
        return unshuffle_patches(encrypted, side, order), order

    def _restore(self, ordered: np.ndarray) -> Tensor:
        start = np.stack([self._starter(img) for img in ordered])
        return self._pixels(to_tensor(ordered), to_tensor(start))

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        ordered, order = self._ordered(encrypted)
        if self._pixels is None:
            return Reconstruction(ordered, order)
        with torch.inference_mode():
            return Reconstruction(to_image(self._restore(ordered[None])[0]), order)
