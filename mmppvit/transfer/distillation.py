"""Tokens of a plain ViT with positions as the aim of a PEViT on encrypted images.

Teacher and student see the same view, the teacher plain, the student encrypted. Patches are in
order: whoever has the plain images knows it, and a student without positions gives shuffled patches
the tokens of ordered ones, shuffled, so that the loss after putting them back is the same.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mmppvit.transfer.vit_features import PixelScale, tokens_of

__all__ = ['LOSSES', 'Distiller', 'teacher_tokens', 'token_loss', 'trainable_names']

LOSSES = ('smooth-l1', 'cosine')
_BATCH = 25
_WARM_UP = .05  # of all steps
_DECAY = .05
_CLIP = 1.


def token_loss(student: Tensor, teacher: Tensor, kind: str = 'smooth-l1') -> Tensor:
    """Mean over tokens of the distance between layer-normalized tokens.

    Args:
        student (Tensor): (B, N, D).
        teacher (Tensor): (B, N, D).
        kind (str): 'smooth-l1', or 'cosine' for 1 - cos.

    Raises:
        ValueError: The kind is unknown.
    """
    if kind not in LOSSES:
        raise ValueError(f'no loss {kind!r}: choose one of {", ".join(LOSSES)}')
    student, teacher = (functional.layer_norm(tokens.float(), tokens.shape[-1:])
                        for tokens in (student, teacher))
    if kind == 'cosine':
        return (1 - functional.cosine_similarity(student, teacher, dim=-1)).mean()
    return functional.smooth_l1_loss(student, teacher)


def trainable_names(model: nn.Module, which: str) -> list[str]:
    """Names of the parameters of a PEViT that ``which`` says.

    Args:
        model (nn.Module): The PEViT.
        which (str): 'embed', the embedding and the reference-based encoding; 'first:K', also the
            first K blocks; 'all'.

    Raises:
        ValueError: It says nothing known, or more blocks than there are.
    """
    names = [name for name, _ in model.named_parameters()]
    if which == 'all':
        return names
    word, _, count = which.partition(':')
    blocks = 0 if which == 'embed' else int(count) if word == 'first' and count.isdecimal() else -1
    if not 0 <= blocks <= len(model.blocks):
        raise ValueError(f'--trainable {which}: choose embed, all, or first:K with K of the '
                         f'{len(model.blocks)} blocks, e.g. first:4')
    parts = ('patch_embed.', 'reference_encoding.', *(f'blocks.{i}.' for i in range(blocks)))
    return [name for name in names if name.startswith(parts)]


@torch.no_grad()
def teacher_tokens(teacher: nn.Module, images: np.ndarray, scale: PixelScale,
                   progress: Callable[[int, int], None] = lambda done, total: None) -> Tensor:
    """float16 (N, T, D) on the CPU: tokens of plain views, uint8 (N, H, W, 3), computed once."""
    found = []
    for start in range(0, len(images), _BATCH):
        batch = scale.apply(images[start:start + _BATCH])
        found.append(tokens_of(teacher, batch).half().cpu())
        progress(start + len(batch), len(images))
    return torch.cat(found)


class Distiller:
    """Trains a student toward tokens, epoch by epoch, the same whether interrupted or not.

    AdamW with a cosine after a short warm-up. The order of the views follows from the seed and
    the epoch, and nothing else is random.

    Args:
        student (nn.Module): A PEViT, on the device that it is to be trained on.
        which (str): See :func:`trainable_names`.
        epochs (int): Of the whole training.
        lr (float): The highest learning rate.
        batch (int): Views of a step.
        loss (str): See :func:`token_loss`.
        seed (int): Of the order.

    Raises:
        ValueError: ``which`` is unknown.
    """

    def __init__(self, student: nn.Module, which: str = 'all', epochs: int = 3, lr: float = 2e-4,
                 batch: int = 16, loss: str = 'smooth-l1', seed: int = 0) -> None:
        self.student, self.epochs, self.lr, self.batch = student, epochs, lr, batch
        self.loss, self.seed, self.epoch = loss, seed, 0
        names = set(trainable_names(student, which))
        for name, parameter in student.named_parameters():
            parameter.requires_grad_(name in names)
        trained = [p for p in student.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW([
            dict(params=[p for p in trained if p.ndim > 1], weight_decay=_DECAY),
            dict(params=[p for p in trained if p.ndim <= 1], weight_decay=0.)], lr=lr)

    def run_epoch(self, images: np.ndarray, scale: PixelScale, targets: Tensor,
                  progress: Callable[[int, int], None] = lambda done, total: None) -> float:
        """One pass over encrypted views, uint8 (N, H, W, 3), and their (N, T, D) targets.

        Returns:
            float: The mean loss.
        """
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(
            self.seed + 1000 * self.epoch))
        chunks, losses = order.split(self.batch), []
        self.student.train()
        for step, chosen in enumerate(chunks):
            self._set_rate(self.epoch + step / len(chunks))
            loss = self._distance(images[chosen.numpy()], scale, targets[chosen])
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.student.parameters(), _CLIP)
            self.optimizer.step()
            losses.append(loss.item() * len(chosen))
            progress(step + 1, len(chunks))
        self.epoch += 1
        self.student.eval()
        return sum(losses) / len(images)

    def _set_rate(self, done: float) -> None:
        """After ``done`` epochs."""
        share = done / self.epochs
        factor = min((share + 1e-3) / _WARM_UP, 1.) * (1 + math.cos(math.pi * share)) / 2
        for group in self.optimizer.param_groups:
            group['lr'] = self.lr * factor

    @torch.no_grad()
    def evaluate(self, images: np.ndarray, scale: PixelScale, targets: Tensor) -> float:
        """The mean loss on views that are not trained on."""
        self.student.eval()
        total = 0.
        for chosen in _in_order(len(images)):
            part = targets[chosen]
            total += self._distance(images[chosen], scale, part).item() * len(part)
        return total / len(images)

    def _distance(self, images: np.ndarray, scale: PixelScale, targets: Tensor) -> Tensor:
        tokens = tokens_of(self.student, scale.apply(images))
        return token_loss(tokens, targets.to(tokens.device), self.loss)

    def state_dict(self) -> dict:
        """Tensors, numbers and names only, as ``torch.load(weights_only=True)`` reads them."""
        return dict(epoch=self.epoch, model=self.student.state_dict(),
                    optimizer=self.optimizer.state_dict())

    def load_state_dict(self, state: dict) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self.epoch = state['epoch']
        self.student.load_state_dict(state['model'])
        self.optimizer.load_state_dict(state['optimizer'])


def _in_order(count: int) -> Iterator[slice]:
    return (slice(start, start + _BATCH) for start in range(0, count, _BATCH))
