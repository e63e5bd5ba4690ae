"""How well a small transformer without positions tells which objects cover a patch, by encryption.

    python benchmarks/patch_labels.py $MMPPVIT_DATA/bccd --how gain:4

A proxy of detection that takes half a minute: of every patch, each class whose boxes cover 40 % of
it or have their center in it; 3 blocks of width 96, from scratch, binary cross-entropy; mean over
the classes of the average precision of all patches of the test images. ``--how``: ``plain``,
``mix``, ``gain:1`` (centered as ever), ``gain:4`` (centered with a gain of 4), ``float`` (centered
and never rounded, the bound of all gains), ``weights:7,4,3,2`` (mixed with unequal weights in
place of a mean, and centered), ``weights:3,1,-1,-3`` (weights of sum 0, which need no centering).
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from mmppvit.encryption import Scheme

_COVERED = .4  # of a patch


def read(data: Path, split: str, size: tuple[int, int], patch: int, most: int
         ) -> list[tuple[np.ndarray, np.ndarray]]:
    """(image of ``size``, labels (rows, cols, K) of its patches) of a COCO json."""
    ann = json.loads((data / f'annotations/instances_{split}.json').read_text())
    classes = {item['id']: place for place, item in enumerate(ann['categories'])}
    found = []
    for image in ann['images'][:most]:
        labels = np.zeros((size[1] // patch, size[0] // patch, len(classes)), np.float32)
        scale = np.array([size[0] / image['width'], size[1] / image['height']]) / patch
        for item in ann['annotations']:
            if item['image_id'] == image['id']:
                _mark(labels[..., classes[item['category_id']]],
                      np.array(item['bbox']).reshape(2, 2) * scale)
        img = cv2.imread(str(data / 'images' / image['file_name']))
        found.append((cv2.resize(img, size, interpolation=cv2.INTER_AREA), labels))
    return found


def _mark(labels: np.ndarray, box: np.ndarray) -> None:
    """Set the patches of a box, [[x, y], [width, height]] in patches."""
    (x, y), (right, bottom) = box[0], box[0] + box[1]
    covered = [np.clip(np.minimum(np.arange(count) + 1, end) - np.maximum(np.arange(count), start),
                       0, 1) for count, start, end in (
        (labels.shape[0], y, bottom), (labels.shape[1], x, right))]
    labels[np.outer(*covered) >= _COVERED] = 1
    center = (y + bottom) / 2, (x + right) / 2
    labels[tuple(min(int(at), count - 1) for at, count in zip(
        center, labels.shape, strict=True))] = 1


def encrypt(img: np.ndarray, how: str, patch: int, grid: int) -> np.ndarray:
    """float32 (N, s * s * 3)."""
    name, _, value = how.partition(':')
    if name in ('plain', 'mix', 'gain'):
        scheme = Scheme('mix+center', patch, grid, 1., gain=float(value)) if name == 'gain' else \
            Scheme('mix', patch, grid if name == 'mix' else 1)
        return _tokens(scheme.in_order(img).astype(np.float32), scheme.side)
    weights = np.array(list(map(float, value.split(','))) if value else [1.] * grid**2)
    centers = weights.sum() != 0
    weights = (weights / (weights if centers else np.abs(weights)).sum()).reshape(grid, grid)
    rows, cols, side = img.shape[0] // patch, img.shape[1] // patch, patch // grid
    mixed = np.einsum('hgpwkqc,gk->hpwqc', img.reshape(rows, grid, side, cols, grid, side, 3)
                      .astype(np.float64), weights)
    mixed = 128 + mixed - centers * mixed.mean((1, 3), keepdims=True)
    if name != 'float':
        mixed = np.clip(np.floor(mixed + .5), 0, 255)
    return _tokens(mixed.reshape(rows * side, cols * side, 3).astype(np.float32), side)


def _tokens(img: np.ndarray, side: int) -> np.ndarray:
    rows, cols = img.shape[0] // side, img.shape[1] // side
    return img.reshape(rows, side, cols, side, 3).transpose(0, 2, 1, 3, 4).reshape(rows * cols, -1)


class PatchLabels(nn.Module):
    """(B, N, s * s * 3) -> logits (B, N, K)."""

    def __init__(self, values: int, classes: int, width: int = 96, depth: int = 3) -> None:
        super().__init__()
        self.embed = nn.Linear(values, width)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(
            width, 3, 2 * width, 0., 'gelu', batch_first=True, norm_first=True)
            for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)
        nn.init.constant_(self.head.bias, -3.)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Experiment:
    """Trains and tests under one encryption."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        torch.manual_seed(args.seed)
        self.rng = np.random.default_rng(args.seed)
        self.train = [sample for split in args.train for sample in read(
            args.data, split, args.size, args.patch_size, args.most)]
        self.test = read(args.data, args.test, args.size, args.patch_size, args.most)
        first = np.concatenate([self._encrypt(img) for img, _ in self.train[:60]])
        levels, pixels = first.reshape(-1, 3), first.shape[1] // 3
        self.mean, self.std = (np.tile(x, pixels) for x in (levels.mean(0), levels.std(0)))
        self.net = PatchLabels(first.shape[1], self.train[0][1].shape[-1])

    def _encrypt(self, img: np.ndarray) -> np.ndarray:
        return encrypt(img, self.args.how, self.args.patch_size, self.args.grid)

    def _batch(self, samples: list) -> tuple[Tensor, Tensor]:
        tokens = [(self._encrypt(img) - self.mean) / self.std for img, _ in samples]
        labels = [label.reshape(-1, label.shape[-1]) for _, label in samples]
        return torch.from_numpy(np.stack(tokens)), torch.from_numpy(np.stack(labels))

    def learn(self) -> None:
        rate, steps, queue = self.args.lr, self.args.steps, []
        optimizer = torch.optim.AdamW(self.net.parameters(), rate, weight_decay=.05)
        for step in range(steps):
            optimizer.param_groups[0]['lr'] = rate * min(1, (step + 1) / 20) * .5 * (
                1 + np.cos(np.pi * step / steps))
            samples = []
            for _ in range(8):
                queue = queue or self.rng.permutation(len(self.train)).tolist()
                samples.append(self._flipped(*self.train[queue.pop()]))
            tokens, labels = self._batch(samples)
            loss = nn.functional.binary_cross_entropy_with_logits(self.net(tokens), labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 1.)
            optimizer.step()

    def _flipped(self, img: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Before encryption, which need not commute here."""
        if self.rng.random() < .5:
            img, labels = img[:, ::-1], labels[:, ::-1]
        if self.rng.random() < .5:
            img, labels = img[::-1], labels[::-1]
        return img, labels

    def score(self) -> list[float]:
        """Average precision of each class that the test images have."""
        self.net.eval()
        logits, truth = [], []
        with torch.no_grad():
            for start in range(0, len(self.test), 8):
                tokens, labels = self._batch(self.test[start:start + 8])
                logits.append(self.net(tokens).flatten(0, 1).numpy())
                truth.append(labels.flatten(0, 1).numpy())
        logits, truth = np.concatenate(logits), np.concatenate(truth)
        return [float(average_precision_score(truth[:, k], logits[:, k]))
                for k in range(truth.shape[1]) if truth[:, k].any()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', type=Path, help='images/ and annotations/instances_*.json')
    parser.add_argument('--how', default='gain:1')
    parser.add_argument('--size', type=lambda text: tuple(map(int, text.split('x'))),
                        default=(128, 96), metavar='WxH', help='whole patches')
    parser.add_argument('--patch-size', type=int, default=8)
    parser.add_argument('--grid', type=int, default=2)
    parser.add_argument('--steps', type=int, default=220)
    parser.add_argument('--lr', type=float, default=1e-3)
    parser.add_argument('--train', nargs='+', default=['train'])
    parser.add_argument('--test', default='test')
    parser.add_argument('--most', type=int, default=1_000_000, help='images of a split')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    experiment = Experiment(args)
    experiment.learn()
    found = experiment.score()
    print(json.dumps(dict(
        data=args.data.name, how=args.how, size='{}x{}'.format(*args.size), seed=args.seed,
        ap=round(float(np.mean(found)), 4), classes=[round(value, 3) for value in found],
        cpu_s=round(time.process_time()))))


if __name__ == '__main__':
    main()
