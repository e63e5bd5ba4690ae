"""The recipe of the released PEViT, written out from its settings: slow, in plain PyTorch."""
from __future__ import annotations

import math
import random

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

MEAN, STD = (.485, .456, .406), (.229, .224, .225)


def epoch_lr(lr: float, epoch: int) -> float:
    """1e-6 to ``lr`` over 5 epochs, cosine of 300 to 1e-5; stepped with the epoch that is over."""
    late = max(epoch - 1, 0)
    if late < 5:
        return 1e-6 + late * (lr - 1e-6) / 5
    return 1e-5 + .5 * (lr - 1e-5) * (1 + math.cos(math.pi * late / 300))


def decay_of(name: str, value: Tensor) -> float:
    """Under released names: ``reference`` is (1, 1, D) and decays."""
    return 0. if value.ndim == 1 or name.endswith('.bias') or name == 'cls_token' else .05


def drawn_indices(count: int, rank: int, processes: int, epoch: int) -> list[int]:
    """Repeated augmentation: thrice each, dealt out to the processes, a third of it used."""
    generator = torch.Generator()
    generator.manual_seed(epoch)
    order = [i for i in torch.randperm(count, generator=generator).tolist() for _ in range(3)]
    total = math.ceil(count * 3 / processes) * processes
    order += order[:total - len(order)]
    return order[rank::processes][:count // 256 * 256 // processes]


def erase(images: Tensor, share: float = .25) -> Tensor:
    """A rectangle of normal noise; 2 % to a third of the area, aspect 0.3 to 1 / 0.3."""
    images = images.clone()
    for image in images:
        if random.random() > share:
            continue
        channels, height, width = image.shape
        for _ in range(10):
            area = random.uniform(.02, 1 / 3) * height * width
            aspect = math.exp(random.uniform(math.log(.3), math.log(1 / .3)))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < height and w < width:
                top, left = random.randint(0, height - h), random.randint(0, width - w)
                image[:, top:top + h, left:left + w] = torch.empty(channels, h, w).normal_()
                break
    return images


def mix_up(images: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """CutMix (1.0) or mixup (0.8), each of half the batches; label smoothing 0.1."""
    np.random.rand()  # whether to mix at all, which has probability 1
    cut = np.random.rand() < .5
    share = float(np.random.beta(1., 1.) if cut else np.random.beta(.8, .8))
    other = images.flip(0)
    if cut:
        height, width = images.shape[2:]
        h, w = int(height * math.sqrt(1 - share)), int(width * math.sqrt(1 - share))
        y, x = np.random.randint(0, height), np.random.randint(0, width)
        # timm 0.3.2 has h // 2 twice: boxes of odd sides lost a pixel.
        top, bottom = np.clip([y - h // 2, y + (h + 1) // 2], 0, height)
        left, right = np.clip([x - w // 2, x + (w + 1) // 2], 0, width)
        images = images.clone()
        images[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (height * width)
    else:
        images = share * images + (1 - share) * other
    soft = torch.full((len(labels), classes), .1 / classes)
    soft[torch.arange(len(labels)), labels] += .9
    return images, share * soft + (1 - share) * soft.flip(0)


class PEViT:
    """On a state dict in released names; ``drop`` is the stochastic depth of the last block."""

    def __init__(self, state: dict[str, Tensor], heads: int, patch: int, drop: float) -> None:
        self.state, self.heads, self.patch, self.drop = state, heads, patch, drop
        self.layers = 1 + max(int(name.split('.')[1]) for name in state
                              if name.startswith('blocks.'))

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.state[f'{name}.weight'].T + self.state[f'{name}.bias']

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.state[f'{name}.weight'],
                                     self.state[f'{name}.bias'], 1e-6)

    def _dropped(self, x: Tensor, rate: float) -> Tensor:
        if not rate:
            return x
        kept = torch.empty(len(x), 1, 1).bernoulli_(1 - rate)
        return x * kept / (1 - rate)

    def _attention(self, name: str, x: Tensor) -> Tensor:
        batch, tokens, dims = x.shape
        qkv = self._linear(f'{name}qkv', x).reshape(batch, tokens, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-1, -2) / (dims // self.heads)**.5).softmax(-1)
        return self._linear(f'{name}proj', (weights @ value).transpose(1, 2).flatten(2))

    def __call__(self, images: Tensor) -> Tensor:
        state = self.state
        x = functional.conv2d(images, state['patch_embed.proj.weight'],
                              state['patch_embed.proj.bias'], self.patch).flatten(2)
        x = x.transpose(1, 2)
        order = torch.rand(x.shape[:2]).argsort(1)
        x = torch.stack([tokens[row] for tokens, row in zip(x, order, strict=True)])
        y = self._linear('ref_encoding.0', x - state['reference']).relu()
        x = x + self._linear('ref_encoding.2', y).sigmoid()
        x = torch.cat([state['cls_token'].expand(len(x), -1, -1), x], 1)
        for i in range(self.layers):
            rate, name = self.drop * i / (self.layers - 1), f'blocks.{i}.'
            x = x + self._dropped(self._attention(f'{name}attn.',
                                                  self._norm(f'{name}norm1', x)), rate)
            y = functional.gelu(self._linear(f'{name}mlp.fc1', self._norm(f'{name}norm2', x)))
            x = x + self._dropped(self._linear(f'{name}mlp.fc2', y), rate)
        return self._linear('head', self._norm('norm', x)[:, 0])


class AdamW:
    """Without clipping, and the average of the weights (EMA 0.99996) beside them."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state, self.steps = state, 0
        self.first = {name: torch.zeros_like(value) for name, value in state.items()}
        self.second = {name: torch.zeros_like(value) for name, value in state.items()}
        self.average = {name: value.detach().clone() for name, value in state.items()}

    @torch.no_grad()
    def step(self, lr: float) -> None:
        self.steps += 1
        for name, value in self.state.items():
            self.first[name] = .9 * self.first[name] + .1 * value.grad
            self.second[name] = .999 * self.second[name] + .001 * value.grad**2
            mean = self.first[name] / (1 - .9**self.steps)
            square = self.second[name] / (1 - .999**self.steps)
            value.mul_(1 - lr * decay_of(name, value))
            value.sub_(lr * mean / (square.sqrt() + 1e-8))
            value.grad = None
            self.average[name] = .99996 * self.average[name] + .00004 * value
