"""Tiny protectors for tests: two levels, with norms that have seen something."""
from __future__ import annotations

from pathlib import Path

import torch

from mmppvit.models.protectors import ProtectionUNet, save_protector

__all__ = ['tiny_protector', 'write_protector']


def tiny_protector(seed: int = 0, **options) -> ProtectionUNet:
    """In eval mode; its images are far from flat."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ProtectionUNet(**{'arch': (4, 8), **options})
        with torch.no_grad():
            network.head.weight.mul_(30)
            network.train()
            for _ in range(3):
                network(torch.rand(2, network.in_channels, 24, 24))
    return network.eval()


def write_protector(path: Path, seed: int = 0, made_for: str | None = None) -> Path:
    """``path``, with a protector of this seed in it."""
    save_protector(path, tiny_protector(seed), made_for)
    return path
