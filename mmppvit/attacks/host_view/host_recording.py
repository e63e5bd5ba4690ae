"""What a host received, put together over all epochs."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmppvit.two_party.messages import decode
from mmppvit.two_party.patch_store import MOTIONS, digest_of, move_patches, sorted_order
from mmppvit.two_party.request_journal import RequestJournal
from mmppvit.two_party.wire_types import unpack_rows

__all__ = ['SeenImage', 'identify', 'read_recording']


@dataclass
class SeenImage:
    """One image as the host knows it: its patches, followed by their pixels through the epochs.

    Attributes:
        patches (ndarray): (N, C, s, s) uint8, each in its canonical flip or turn.
        similarity (ndarray): (N, N) float64, sum over steps of products of centered gradients.
        norms (ndarray): (N, ) float64, sum over steps of gradient norms relative to the image's.
        directions (ndarray): (N, D) float64, sum over steps of gradients, scaled by the image's.
        steps (int): How often it came.
    """
    patches: np.ndarray
    similarity: np.ndarray
    norms: np.ndarray
    directions: np.ndarray
    steps: int = field(default=0)

    def add(self, grads: np.ndarray) -> None:
        """Gradients (N, D) of one step, in the order of the patches."""
        scale = np.sqrt((grads**2).sum(1).mean())
        if scale == 0:
            return
        grads = grads / scale
        centered = grads - grads.mean(0)
        self.similarity += centered @ centered.T
        self.norms += np.sqrt((grads**2).sum(1))
        self.directions += grads
        self.steps += 1


def identify(patches: Tensor) -> tuple[bytes, Tensor, Tensor]:
    """Name an image by its patches, however it was arranged, flipped or turned.

    Args:
        patches (Tensor): (N, C, s, s) uint8 in any order.

    Returns:
        tuple[bytes, Tensor, Tensor]: The name; the (N, C, s, s) patches, each in its canonical
        motion, sorted; and (N, ) where each was in ``patches``.
    """
    moved = torch.stack([move_patches(patches, m) for m in range(MOTIONS)])
    rows = np.ascontiguousarray(moved.flatten(2).numpy())
    keys = rows.view(np.dtype((np.void, rows.shape[2])))[..., 0]
    best = np.array([min(range(MOTIONS), key=lambda m: keys[m, i].tobytes())
                     for i in range(keys.shape[1])])
    canonical = moved[torch.from_numpy(best), torch.arange(len(patches))]
    order = sorted_order(canonical)
    canonical = canonical[order].contiguous()
    return digest_of(canonical), canonical, order


def read_recording(requests: Path | Iterable[bytes]) -> dict[bytes, SeenImage]:
    """Images of a file of ``mmppvit host --record``, or of requests.

    Args:
        requests (Path | Iterable[bytes]): In the order in which they came.

    Returns:
        dict[bytes, SeenImage]: By the name of :func:`identify`.
    """
    if isinstance(requests, Path):
        if not requests.is_file():
            raise FileNotFoundError(f'no recording {requests}: mmppvit host --record makes one')
        requests = RequestJournal(requests).read()
    seen: dict[bytes, SeenImage] = {}
    waiting: dict[tuple[str, int], list[Tensor]] = {}
    for request in requests:
        header, tensors = decode(request)
        if header['method'] == 'forward' and header['train'] and 'patches' in header:
            waiting[header['session'], header['seq']] = list(
                tensors['patches'].split(header['patches']))
        elif header['method'] == 'backward':
            images = waiting.pop((header['session'], header['forward']), None)
            if images is not None:
                _add(seen, images, _gradients(header, tensors, sum(map(len, images))))
    return seen


def _gradients(header: dict, tensors: dict[str, Tensor], count: int) -> Tensor:
    dims = tensors['0'].shape[1] * (8 if header['wire'] == 'sign' else 1)
    return unpack_rows(tensors, header['wire'], '0', (count, dims))


def _add(seen: dict[bytes, SeenImage], images: list[Tensor], grads: Tensor) -> None:
    parts = grads.double().split([len(image) for image in images])
    for image, part in zip(images, parts, strict=True):
        name, canonical, order = identify(image)
        count, dims = part.shape
        if name not in seen:
            seen[name] = SeenImage(canonical.numpy(), np.zeros((count, count)), np.zeros(count),
                                   np.zeros((count, dims)))
        seen[name].add(part[order].numpy())
