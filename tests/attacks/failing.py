"""Attackers that go wrong in every way, where a process of its own finds them."""
from __future__ import annotations

import os
import signal
import sys
import time

import cv2
import numpy as np
import torch

from mmppvit.attacks import Attacker, BudgetExceeded, Reconstruction

__all__ = ['FAILING', 'Honest']


class Honest(Attacker):
    """Enlarges what it gets, and looks at what it was given for anything it should not have."""
    name = 'honest'
    title = 'enlarges'

    def fit(self, pairs, budget):
        assert all((pair.order is None) == (not self.scheme.shuffles) for pair in pairs)
        self.number = len(pairs)

    def reconstruct(self, encrypted):
        size = [length * self.scheme.grid for length in encrypted.shape[1::-1]]
        order = None
        if self.scheme.shuffles:
            order = np.arange(encrypted.shape[0] * encrypted.shape[1] // self.scheme.side**2)
        return Reconstruction(cv2.resize(encrypted, size), order)


class Known(Honest):
    name = 'known'
    learns_from = 'known'

    def fit(self, pairs, budget):
        assert pairs
        assert all(pair.order is None for pair in pairs)


class Raises(Honest):
    name = 'raises'

    def fit(self, pairs, budget):
        raise KeyError('<nothing> & "such"')


class Exits(Honest):
    name = 'exits'

    def fit(self, pairs, budget):
        os._exit(3)


class Leaves(Honest):
    name = 'leaves'

    def fit(self, pairs, budget):
        sys.exit('enough')


class Killed(Honest):
    name = 'killed'

    def reconstruct(self, encrypted):
        os.kill(os.getpid(), signal.SIGKILL)


class Greedy(Honest):
    name = 'greedy'

    def fit(self, pairs, budget):
        self.much = np.zeros(2**38, np.uint8)


class GreedyTorch(Honest):
    name = 'greedy-torch'

    def fit(self, pairs, budget):
        self.much = torch.zeros(2**38, dtype=torch.uint8)


class Slow(Honest):
    name = 'slow'

    def reconstruct(self, encrypted):
        time.sleep(600)


class Late(Honest):
    name = 'late'

    def fit(self, pairs, budget):
        if budget.exhausted:
            raise BudgetExceeded('nothing learned yet')


class Misshapen(Honest):
    name = 'misshapen'

    def reconstruct(self, encrypted):
        return Reconstruction(encrypted[:-1])


class Disorderly(Honest):
    name = 'disorderly'

    def reconstruct(self, encrypted):
        return Reconstruction(super().reconstruct(encrypted).img, np.zeros(4, int))


FAILING = {kind.name: kind for kind in (
    Raises, Exits, Leaves, Killed, Greedy, GreedyTorch, Slow, Late, Misshapen, Disorderly)}
