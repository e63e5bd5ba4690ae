"""YOLOS and PEYOLOS written out, on state dicts in the layout that they were released with.

Slow, readable and in float32: what the detector has to reproduce.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass
class ReleasedYOLOS:
    """Sizes of a model; ``mixed`` is PEYOLOS, which mixes within the model."""
    dims: int = 24
    layers: int = 3
    heads: int = 2
    queries: int = 7
    classes: int = 4
    patch: int = 16
    table: tuple[int, int] = (64, 96)
    mid_table: tuple[int, int] | None = None
    mixed: bool = False

    def state_dict(self, seed: int = 0) -> dict[str, Tensor]:
        """Random weights, of a size that makes everything matter."""
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            fan_in = math.prod(shape[1:]) if len(shape) > 1 else 4
            return torch.randn(*shape, generator=generator) * fan_in**-.5

        dims, state = self.dims, {}
        cells = self._cells(self.table)
        state['backbone.cls_token'] = draw(1, 1, dims)
        state['backbone.det_token'] = torch.randn(1, self.queries, dims, generator=generator)
        state['backbone.pos_embed'] = torch.randn(
            1, 1 + cells[0] * cells[1] + self.queries, dims, generator=generator)
        if self.mid_table:
            rows, cols = self._cells(self.mid_table)
            state['backbone.mid_pos_embed'] = .5 * torch.randn(
                self.layers - 1, 1, 1 + rows * cols + self.queries, dims, generator=generator)
        if not self.mixed:
            self._add_linear(state, 'backbone.patch_embed.proj',
                             (dims, 3, self.patch, self.patch), draw)
        else:
            half = self.patch // 2
            self._add_linear(state, 'backbone.patch_embed.proj_siat', (dims, 3, half, half), draw)
            self._add_linear(state, 'backbone.patch_embed.proj_siat_embed', (dims, dims, 1, 1),
                             draw)
        for i in range(self.layers):
            block = f'backbone.blocks.{i}.'
            for name in ('norm1', 'norm2'):
                state[f'{block}{name}.weight'] = 1 + draw(dims)
                state[f'{block}{name}.bias'] = draw(dims)
            for name, shape in (('attn.qkv', (3 * dims, dims)), ('attn.proj', (dims, dims)),
                                ('mlp.fc1', (4 * dims, dims)), ('mlp.fc2', (dims, 4 * dims))):
                self._add_linear(state, block + name, shape, draw)
        state['backbone.norm.weight'], state['backbone.norm.bias'] = 1 + draw(dims), draw(dims)
        for head, outputs in (('class_embed', self.classes + 1), ('bbox_embed', 4)):
            for i, rows in enumerate((dims, dims, outputs)):
                self._add_linear(state, f'{head}.layers.{i}', (rows, dims), draw)
        return state

    @staticmethod
    def _add_linear(state: dict, name: str, shape: tuple[int, ...], draw) -> None:
        state[f'{name}.weight'], state[f'{name}.bias'] = draw(*shape), draw(shape[0])

    def _cells(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[0] // self.patch, size[1] // self.patch

    def forward(self, state: dict[str, Tensor], img: Tensor) -> tuple[Tensor, Tensor]:
        """(3, H, W), plain -> logits (Q, classes + 1), boxes (Q, 4)."""
        height, width = self._cells(img.shape[1:])
        x = self._embed(state, img)
        x = torch.cat((state['backbone.cls_token'][0], x, state['backbone.det_token'][0]))
        x = x + self._resize(state['backbone.pos_embed'][0], self.table, (height, width))
        for i in range(self.layers):
            x = self._block(state, f'backbone.blocks.{i}.', x)
            if self.mid_table and i < self.layers - 1:
                x = x + self._resize(state['backbone.mid_pos_embed'][i, 0], self.mid_table,
                                     (height, width))
        x = self._norm(state, 'backbone.norm', x)[-self.queries:]
        return self._mlp(state, 'class_embed', x), self._mlp(state, 'bbox_embed', x).sigmoid()

    def _embed(self, state: dict, img: Tensor) -> Tensor:
        """(3, H, W) -> (N, D)."""
        embed = 'backbone.patch_embed.proj'
        if not self.mixed:
            x = functional.conv2d(img[None], state[f'{embed}.weight'], state[f'{embed}.bias'],
                                  self.patch)
            return x[0].flatten(1).T
        x = functional.conv2d(img[None], state[f'{embed}_siat.weight'],
                              state[f'{embed}_siat.bias'], self.patch // 2)
        x = functional.gelu(functional.avg_pool2d(x, 2))
        x = functional.conv2d(x, state[f'{embed}_siat_embed.weight'],
                              state[f'{embed}_siat_embed.bias'])
        return x[0].flatten(1).T

    def _resize(self, table: Tensor, size: tuple[int, int], cells: tuple[int, int]) -> Tensor:
        """(1 + n + Q, D) -> (1 + N + Q, D)."""
        rows, cols = self._cells(size)
        first, patches, last = table[:1], table[1:-self.queries], table[-self.queries:]
        patches = patches.T.reshape(1, self.dims, rows, cols)
        patches = functional.interpolate(patches, cells, mode='bicubic', align_corners=False)
        return torch.cat((first, patches[0].flatten(1).T, last))

    def _block(self, state: dict, name: str, x: Tensor) -> Tensor:
        tokens, side = len(x), self.dims // self.heads
        y = self._norm(state, f'{name}norm1', x)
        qkv = self._linear(state, f'{name}attn.qkv', y).reshape(tokens, 3, self.heads, side)
        outs = []
        for head in range(self.heads):
            query, key, value = qkv[:, 0, head], qkv[:, 1, head], qkv[:, 2, head]
            outs.append((query @ key.T / side**.5).softmax(-1) @ value)
        x = x + self._linear(state, f'{name}attn.proj', torch.cat(outs, dim=1))
        y = self._linear(state, f'{name}mlp.fc1', self._norm(state, f'{name}norm2', x))
        return x + self._linear(state, f'{name}mlp.fc2', functional.gelu(y))

    def _norm(self, state: dict, name: str, x: Tensor) -> Tensor:
        mean, var = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
        return (x - mean) / (var + 1e-6).sqrt() * state[f'{name}.weight'] + state[f'{name}.bias']

    def _linear(self, state: dict, name: str, x: Tensor) -> Tensor:
        return x @ state[f'{name}.weight'].T + state[f'{name}.bias']

    def _mlp(self, state: dict, name: str, x: Tensor) -> Tensor:
        for i in range(3):
            x = self._linear(state, f'{name}.layers.{i}', x)
            x = x.relu() if i < 2 else x
        return x
