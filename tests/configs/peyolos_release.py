"""The recipe of the released PEYOLOS, written out from its settings: slow, and free of MMDetection.

Images by PIL, losses with loops and scipy, AdamW by its equations. Weights are under the released
names, and the forward pass is :class:`tests.models.released_yolos.ReleasedYOLOS`.
"""
from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

MEAN, STD = (.485, .456, .406), (.229, .224, .225)


@dataclass
class Draws:
    """The random numbers of one image, 0 to 1."""
    flip: bool
    crop: bool
    first: float
    height: float
    width: float
    top: float
    left: float
    last: float

    @classmethod
    def of(cls, seed: int) -> Draws:
        rng = random.Random(seed)
        return cls(rng.random() < .5, rng.random() < .5, *(rng.random() for _ in range(6)))


def pick(values: list, share: float):
    return values[int(share * len(values))]


def between(low: int, high: int, share: float) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return low + int(share * (high - low + 1))


def read_boxes(coco: dict, image: dict) -> tuple[np.ndarray, list[int]]:
    """(G, 4), x1, y1, x2, y2, clipped to the image, and labels; crowds are left out."""
    ids = sorted(category['id'] for category in coco['categories'])
    boxes, labels = [], []
    for one in coco['annotations']:
        if one['image_id'] != image['id'] or one.get('iscrowd'):
            continue
        x, y, w, h = one['bbox']
        box = [min(max(x, 0), image['width']), min(max(y, 0), image['height']),
               min(max(x + w, 0), image['width']), min(max(y + h, 0), image['height'])]
        if box[2] > box[0] and box[3] > box[1]:
            boxes.append(box)
            labels.append(ids.index(one['category_id']))
    return np.array(boxes, np.float64).reshape(-1, 4), labels


def resize(img: Image.Image, boxes: np.ndarray, side: int, longest: int | None
           ) -> tuple[Image.Image, np.ndarray]:
    w, h = img.size
    if longest is not None and max(w, h) / min(w, h) * side > longest:
        side = round(longest * min(w, h) / max(w, h))
    if w < h:
        new_w, new_h = side, int(side * h / w)
    else:
        new_w, new_h = int(side * w / h), side
    new_w, new_h = new_w - new_w % 16, new_h - new_h % 16
    scale = np.array([new_w / w, new_h / h, new_w / w, new_h / h])
    return img.resize((new_w, new_h), Image.BILINEAR), boxes * scale


def augment(img: Image.Image, boxes: np.ndarray, labels: list[int], draws: Draws,
            sides: list[int], longest: int) -> tuple[Image.Image, np.ndarray, list[int]]:
    """What a training image becomes."""
    if draws.flip:
        img = img.transpose(Image.FLIP_LEFT_RIGHT)
        boxes = np.stack([img.width - boxes[:, 2], boxes[:, 1], img.width - boxes[:, 0],
                          boxes[:, 3]], axis=1)
    if draws.crop:
        img, boxes = resize(img, boxes, pick([400, 500, 600], draws.first), None)
        height = between(min(384, img.height), min(img.height, 600), draws.height)
        width = between(min(384, img.width), min(img.width, 600), draws.width)
        top = between(0, img.height - height, draws.top)
        left = between(0, img.width - width, draws.left)
        img = img.crop((left, top, left + width, top + height))
        boxes = (boxes - [left, top, left, top]).clip(0, [width, height, width, height])
        keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, labels = boxes[keep], np.array(labels, int)[keep].tolist()
    return (*resize(img, boxes, pick(sides, draws.last), longest), labels)


def mix_like(img: np.ndarray, rounded: bool) -> np.ndarray:
    """(H, W, 3), every sub-patch of 8 in its patch of 16 replaced by the mean of the four.

    Embedding this and averaging is what the released model does with the image itself, to 8 bits
    if ``rounded``, as a mixed image is stored.
    """
    out = np.empty(img.shape)
    for top in range(0, img.shape[0], 16):
        for left in range(0, img.shape[1], 16):
            patch = img[top:top + 16, left:left + 16].astype(np.float64)
            mean = (patch[:8, :8] + patch[:8, 8:] + patch[8:, :8] + patch[8:, 8:]) / 4
            out[top:top + 16, left:left + 16] = np.tile(
                np.floor(mean + .5) if rounded else mean, (2, 2, 1))
    return out


def to_tensor(img: np.ndarray) -> Tensor:
    """(H, W, 3), 0 to 255, RGB -> (3, H, W), normalized."""
    x = (img / 255 - MEAN) / STD
    return torch.from_numpy(x).permute(2, 0, 1).float()


def _corners(boxes: Tensor) -> Tensor:
    cx, cy, w, h = boxes.unbind(-1)
    return torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], -1)


def _giou(a: Tensor, b: Tensor) -> Tensor:
    """(N, 4), (M, 4), corners -> (N, M)."""
    a, b = a[:, None], b[None]
    both = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
            ).clamp(min=0).prod(-1)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - both
    return both / union - (hull - union) / hull


def detection_loss(logits: Tensor, boxes: Tensor, labels: list[int], targets: Tensor) -> Tensor:
    """1 cross-entropy + 5 L1 + 2 (1 - GIoU) of one image.

    Args:
        logits (Tensor): (Q, classes + 1).
        boxes (Tensor): (Q, 4), cx, cy, w, h as shares of the image.
        labels (list[int]): G classes.
        targets (Tensor): (G, 4), as ``boxes``.
    """
    nothing = logits.shape[1] - 1
    wanted = torch.full((len(logits), ), nothing)
    rows = columns = np.zeros(0, int)
    if labels:
        with torch.no_grad():
            cost = (5 * (boxes[:, None] - targets[None]).abs().sum(-1)
                    - logits.softmax(-1)[:, labels]
                    - 2 * _giou(_corners(boxes), _corners(targets)))
        rows, columns = linear_sum_assignment(cost)
        wanted[rows] = torch.tensor(labels)[columns]
    weights = torch.where(wanted == nothing, .1, 1.)
    each = functional.cross_entropy(logits, wanted, reduction='none')
    loss = (weights * each).sum() / weights.sum()
    count = max(len(labels), 1)
    matched, goals = boxes[rows], targets[columns]
    loss = loss + 5 * (matched - goals).abs().sum() / count
    return loss + 2 * (1 - _giou(_corners(matched), _corners(goals)).diagonal()).sum() / count


def settings_of(name: str, ndim: int) -> tuple[float, float]:
    """Learning rate and weight decay of a parameter under its released name."""
    if 'siat' in name:
        return 1e-4, 1e-4
    exempt = ('pos_embed', 'cls_token', 'det_token')
    if 'backbone' in name and (ndim == 1 or name.endswith('.bias')
                               or name.split('.')[-1] in exempt):
        return 1e-5, 0.
    return 1e-5, 1e-4


def epoch_lr(lr: float, epoch: int, epochs: int = 150, least: float = 1e-7) -> float:
    """The schedule is stepped with the number of the epoch that is over."""
    late = max(epoch - 1, 0)
    return least + .5 * (lr - least) * (1 + math.cos(math.pi * late / epochs))


class AdamW:
    """Loshchilov and Hutter's, after clipping the norm of all gradients to 0.1."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state, self.steps = state, 0
        self.first = {name: torch.zeros_like(value) for name, value in state.items()}
        self.second = {name: torch.zeros_like(value) for name, value in state.items()}

    def step(self, epoch: int = 0) -> None:
        self.steps += 1
        grads = {name: value.grad for name, value in self.state.items()}
        norm = torch.stack([grad.norm() for grad in grads.values()]).norm()
        share = min(1., float(.1 / (norm + 1e-6)))
        for name, value in self.state.items():
            lr, decay = settings_of(name, value.ndim)
            lr, grad = epoch_lr(lr, epoch), share * grads[name]
            self.first[name] = .9 * self.first[name] + .1 * grad
            self.second[name] = .999 * self.second[name] + .001 * grad**2
            mean = self.first[name] / (1 - .9**self.steps)
            square = self.second[name] / (1 - .999**self.steps)
            with torch.no_grad():
                value.mul_(1 - lr * decay)
                value.sub_(lr * mean / (square.sqrt() + 1e-8))
            value.grad = None
