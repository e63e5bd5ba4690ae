"""What learned attackers train with: images encrypted anew, and a loop that keeps to a budget."""
from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from mmppvit.attacks.attackers.interface import Budget, BudgetExceeded, Pair
from mmppvit.attacks.networks.default_device import on_gpu
from mmppvit.encryption import Key, Scheme

__all__ = ['PairSampler', 'initial_weights', 'part_of', 'seeded', 'split_pairs', 'train']


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """PyTorch's random numbers from ``seed`` on; those of the CPU go on afterwards as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """As :func:`seeded`, for networks: on the CPU, so that they begin alike on every device.

    They have to be brought to the device afterwards.
    """
    with seeded(seed), torch.device('cpu'):
        yield


def part_of(budget: Budget, share: float) -> Budget:
    """A budget of ``share`` of what is left.

    Raises:
        BudgetExceeded: Nothing is.
    """
    if budget.exhausted:
        raise BudgetExceeded(f'{budget.seconds:.0f} s were used up before training began; allow '
                             'more time')
    return budget.part(share)


def split_pairs(pairs: Sequence[Pair], seed: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn from and pairs to choose the best weights by: an eighth, 1 to 8 of them.

    Raises:
        ValueError: There are fewer than two.
    """
    if len(pairs) < 2:
        raise ValueError(f'a learned attacker needs at least 2 pairs, got {len(pairs)}')
    order = np.random.default_rng(seed).permutation(len(pairs))
    held = min(max(1, len(pairs) // 8), 8)
    return [pairs[k] for k in order[held:]], [pairs[k] for k in order[:held]]


class PairSampler:
    """Draws pairs: those that were given, and, more often, ones that are encrypted anew.

    Whoever knows the scheme can encrypt any cut-out of a plain image with keys drawn at random,
    so a few images give as many different pairs as wanted.

    Args:
        scheme (Scheme): Of the pairs.
        pairs (Sequence[Pair]): At least one.
        seed (int): Of all draws.
        turn (bool): Whether images are flipped, transposed and their colors exchanged before
            they are encrypted; not for attackers that learn where things are.
    """
    _GIVEN, _GIVEN_LEARNED = .25, .75  # shares; a network takes longer than mixing

    def __init__(self, scheme: Scheme, pairs: Sequence[Pair], seed: int, turn: bool = True) -> None:
        self.scheme, self.pairs, self.turn = scheme, list(pairs), turn
        self.rng = np.random.default_rng(seed)
        self._given = self._GIVEN_LEARNED if scheme.needs_protector else self._GIVEN

    def whole(self, pair: Pair) -> Pair:
        """A pair of the image's size, or one patch less: as given, or moved and encrypted."""
        if self.rng.random() < self._given:
            return pair
        size = self.scheme.patch_size
        height, width = pair.plain.shape[:2]
        moves = [extent >= 3 * size and self.rng.random() < .5 for extent in (height, width)]
        y, x = (int(self.rng.integers(size)) if move else 0 for move in moves)
        return self._encrypted(pair, pair.plain[
            y:height - moves[0] * (size - y), x:width - moves[1] * (size - x)])

    def _encrypted(self, pair: Pair, plain: np.ndarray) -> Pair:
        plain = np.ascontiguousarray(self._turned(plain) if self.turn else plain)
        key = Key(self.rng.bytes(32)) if self.scheme.shuffles else None
        made = self.scheme.encrypt(plain, key, pair.name)
        return Pair(pair.name, made.img, plain, made.order)

    def _turned(self, plain: np.ndarray) -> np.ndarray:
        if self.rng.random() < .5:
            plain = plain[:, ::-1]
        if self.rng.random() < .5:
            plain = plain[::-1]
        if self.rng.random() < .5:
            plain = plain.transpose(1, 0, 2)
        if self.rng.random() < .25:
            plain = plain[..., self.rng.permutation(3)]
        return plain

    def crops(self, count: int, pixels: int = 96) -> list[Pair]:
        """``count`` pairs of one size, cut out at whole patches.

        Args:
            count (int): Of pairs, from images drawn at random.
            pixels (int): About the side in pixels of the plain image; less where an image is
                smaller. Of a shuffled image, what lies in the same place is cut out.
        """
        size = self.scheme.patch_size
        least = min(min(pair.plain.shape[:2]) for pair in self.pairs) // size
        patches = max(1, min(round(pixels / size), least))
        return [self._crop(self.pairs[int(self.rng.integers(len(self.pairs)))], patches)
                for _ in range(count)]

    def _crop(self, pair: Pair, patches: int) -> Pair:
        size = self.scheme.patch_size
        if self.scheme.shuffles:
            moved = self.whole(pair)  # which can be too small by a patch
            if min(moved.plain.shape[:2]) >= patches * size:
                pair = moved
        elif self.rng.random() >= self._given:  # cut out first, at any pixel: less to encrypt
            y, x = (int(self.rng.integers(extent - patches * size + 1))
                    for extent in pair.plain.shape[:2])
            return self._encrypted(
                pair, pair.plain[y:y + patches * size, x:x + patches * size])
        return self.cut(pair, patches)

    def cut(self, pair: Pair, patches: int) -> Pair:
        """What lies in a square of ``patches`` x ``patches`` places, drawn at random."""
        y, x = (int(self.rng.integers(extent // self.scheme.patch_size - patches + 1))
                for extent in pair.plain.shape[:2])
        before, after = (img[y * s:(y + patches) * s, x * s:(x + patches) * s] for img, s in (
            (pair.encrypted, self.scheme.side), (pair.plain, self.scheme.patch_size)))
        return Pair(pair.name, before, after)


def train(model: nn.Module,
          loss: Callable[[], Tensor],
          validate: Callable[[], float],
          budget: Budget,
          max_steps: int,
          lr: float = 1e-3) -> float:
    """Train ``model`` with AdamW until the budget or the steps are used up; keep the best.

    The rate rises over the first steps and falls as half a cosine over the share that is used,
    of time or steps, whichever is nearer to its end. So runs without a limit of time, on one
    thread, repeat exactly; runs with one do as many steps as the machine gives them.

    Args:
        model (Module): Has the best weights afterwards, in eval mode.
        loss (Callable[[], Tensor]): Draws a batch and returns the scalar to minimize.
        validate (Callable[[], float]): Error on images that were held out.
        budget (Budget): When it is used up, training ends after the step that runs.
        max_steps (int): At most.
        lr (float): Highest rate.

    Returns:
        float: The error of the best weights.

    Raises:
        BudgetExceeded: Nothing was learned in the time.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-4,
                                  fused=on_gpu())
    best, best_error, next_check, step = None, math.inf, .5, 0
    while step < max_steps and not budget.exhausted:
        model.train()
        share = max(budget.share_used, step / max_steps)
        # A last tenth of a per cent is left, so that the last steps are steps.
        rate = lr * max(.5 * (1 + math.cos(math.pi * min(share, 1.))), 1e-3)
        for group in optimizer.param_groups:
            group['lr'] = rate * min(1., (step + 1) / 20)
        value = loss()
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.)
        optimizer.step()
        step += 1
        if max(budget.share_used, step / max_steps) >= min(next_check, 1.):
            error = _error(model, validate)
            next_check += .1
            if error < best_error:
                best, best_error = copy.deepcopy(model.state_dict()), error
    if best is None:
        raise BudgetExceeded(f'{step} steps of training in {budget.seconds:.0f} s are not enough '
                             'to learn anything; allow more time')
    model.load_state_dict(best)
    model.eval()
    return best_error


def _error(model: nn.Module, validate: Callable[[], float]) -> float:
    model.eval()
    with torch.inference_mode():
        return validate()
