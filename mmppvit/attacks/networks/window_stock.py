"""Windows of images encrypted anew, so many that an accelerator need not wait for them."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from mmppvit.attacks.attackers.interface import Budget, Pair
from mmppvit.attacks.networks.restoration import to_tensor
from mmppvit.attacks.networks.training import PairSampler

__all__ = ['WindowStock', 'triple']


class WindowStock:
    """A stock of cut-outs, from which batches of windows are cut on the device that learns.

    Ahead of every batch some of the cut-outs are replaced by new ones, which a thread has made
    while the batch before was learned from. Which ones a batch has does not depend on how fast the
    thread is, so that runs repeat. Where cut-outs take long to make, none are replaced, and
    :meth:`fill` makes as many as there is time for. Use as a context manager, which ends the
    thread.

    Args:
        sampler (PairSampler): Draws the cut-outs; nobody else may draw from it.
        start (Callable): What networks begin with: uint8 (B, h, w, 3) -> (B, 3, H, W).
        window (int): About the side of a window in pixels of the plain image.
        batch (int): Windows of a batch.
        fresh (int): New cut-outs for every batch; 0 for none.
        most (int): Cut-outs in stock, at most.
        mirror (bool): Whether windows are mirrored at random, which has to commute with the scheme.
    """
    _LARGE = 1.5  # side of a cut-out, in windows

    def __init__(self, sampler: PairSampler, start: Callable[[np.ndarray], Tensor], window: int,
                 batch: int, fresh: int, most: int = 128, mirror: bool = True) -> None:
        self.sampler, self.start, self.mirror = sampler, start, mirror
        self.window, self.batch, self.fresh, self.most = window, batch, fresh, most
        self._rng = np.random.default_rng(sampler.rng.integers(1 << 32))
        self._device = torch.get_default_device()  # a thread has a default of its own: the CPU
        self._stock: tuple[Tensor, ...] = ()
        self._oldest = 0
        self._thread = ThreadPoolExecutor(1)
        self._coming: Future | None = None

    def __enter__(self) -> WindowStock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._thread.shutdown(cancel_futures=True)

    def fill(self, budget: Budget) -> None:
        """Make cut-outs, a batch at a time, until time or space is used up; one batch at least."""
        made = [self._make(self.batch)]
        while not budget.exhausted and self.batch * len(made) < self.most:
            made.append(self._make(self.batch))
        self._stock = tuple(map(torch.cat, zip(*made, strict=True)))

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Encrypted, start and plain, each (B, 3, ., .) of range -0.5 to 0.5."""
        if not self._stock:
            self._stock = self._make(max(self.batch // 2, 1))
        if self._coming is not None:
            self._put(self._coming.result())
        if self.fresh:
            self._coming = self._thread.submit(self._make, self.fresh)
        size, side = self.sampler.scheme.patch_size, self.sampler.scheme.side
        extent = self._stock[2].shape[-1] // size
        patches = max(1, min(round(self.window / size), extent))
        chosen = self._rng.integers(len(self._stock[0]), size=self.batch)
        top, left = self._rng.integers(extent - patches + 1, size=(2, self.batch))
        turned = self._rng.random(self.batch) < (.5 if self.mirror else 0.)
        return tuple(_cut(part, chosen, top * step, left * step, turned, patches * step)
                     for part, step in zip(self._stock, (side, size, size), strict=True))

    def _make(self, count: int) -> tuple[Tensor, ...]:
        with torch.device(self._device):
            return triple(self.sampler.crops(count, round(self._LARGE * self.window)), self.start)

    def _put(self, new: tuple[Tensor, ...]) -> None:
        if len(self._stock[0]) < self.most:
            self._stock = tuple(map(torch.cat, zip(self._stock, new, strict=True)))
            return
        places = (self._oldest + torch.arange(len(new[0]), device=new[0].device)) % self.most
        for part, made in zip(self._stock, new, strict=True):
            part[places] = made
        self._oldest = (self._oldest + len(new[0])) % self.most


def triple(pairs: Sequence[Pair], start: Callable[[np.ndarray], Tensor]
           ) -> tuple[Tensor, Tensor, Tensor]:
    """Encrypted (B, 3, h, w), start and plain (B, 3, H, W), of range -0.5 to 0.5."""
    encrypted = np.stack([pair.encrypted for pair in pairs])
    plain = np.stack([pair.plain for pair in pairs])
    return to_tensor(encrypted), start(encrypted), to_tensor(plain)


def _cut(stock: Tensor, chosen: np.ndarray, top: np.ndarray, left: np.ndarray,
         turned: np.ndarray, extent: int) -> Tensor:
    """Squares of side ``extent``, all at once: one by one an accelerator waits for each."""
    steps = np.arange(extent)
    rows = top[:, None] + steps
    cols = left[:, None] + np.where(turned[:, None], steps[::-1], steps)
    item, row, col = (torch.from_numpy(np.ascontiguousarray(part)).to(stock.device) for part in (
        chosen[:, None, None], rows[:, :, None], cols[:, None, :]))
    return stock[item, :, row, col].permute(0, 3, 1, 2)
