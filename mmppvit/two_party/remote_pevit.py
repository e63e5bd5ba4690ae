"""PEViT whose blocks run on another machine, which gets patches without their order."""
from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.dist import all_reduce, get_rank
from mmengine.logging import print_log
from torch import Tensor, nn

from mmppvit.models.backbones import PEViT
from mmppvit.two_party.connection import HostConnection, HostError, shift_port
from mmppvit.two_party.defenses import GradientDefense
from mmppvit.two_party.messages import ProtocolError
from mmppvit.two_party.patch_store import (
    PatchStore,
    canonical,
    cut_patches,
    digest_of,
    sorted_order,
)
from mmppvit.two_party.wire_types import WIRE_TYPES, pack_rows, unpack_rows

__all__ = ['RemotePEViT']

_CHUNK = 2**24  # bytes of weights in one message
_NOT_READY = ("add dict(type='RemoteBackboneHook') to custom_hooks and train or test with a "
              'Runner; for inference without the host, join the halves with mmppvit join')


@MODELS.register_module()
class RemotePEViT(PEViT):
    """Stands for a :class:`PEViT` that a host holds, trains and runs.

    Of every image the host gets the patches, 8 bit, without their order: sorted by their bytes,
    or at random. Padding of the batch is not sent, and its cells are zero. Parameters have
    names, learning rates and schedules as a PEViT's, so optimizer configs and layer decay mean
    the same; their values are with the host alone after training has begun.
    ``RemoteBackboneHook`` connects it with the training.

    Args:
        host (str): HOST:PORT.
        certificates (str, optional): Folder with ``owner.key``, ``owner.crt`` and ``host.crt``;
            None for plaintext, on addresses of this machine alone.
        wire (str): How tokens travel: 'float32', 'float16', 'bfloat16' or 'int8'.
        grad_wire (str, optional): How gradients travel, 'sign' also; None for as tokens.
        order (str): Order of the patches on the wire, 'sorted' or 'random'. Neither says where
            a patch was. Sorted ones make runs repeatable to the bit.
        patches (str, optional): File of sealed images that the host has as well; images that
            are in it are named to the host by number and not sent.
        defense (dict, optional): Arguments of :class:`GradientDefense`.
        cache (int): With a frozen backbone (``frozen_stages`` names all blocks), MiB of tokens to
            keep here in place of asking again.
        patience (float): Seconds to wait for a host that does not answer.
        **kwargs: As for :class:`PEViT`.
    """

    def __init__(self, *args, host: str, certificates: str | None = None, wire: str = 'float16',
                 grad_wire: str | None = None, order: str = 'sorted', patches: str | None = None,
                 defense: dict | None = None, cache: int = 1024, patience: float = 300.,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if wire not in WIRE_TYPES[:-1] or (grad_wire or wire) not in WIRE_TYPES:
            raise ValueError(f'wire={wire!r}, grad_wire={grad_wire!r}: choose from '
                             f'{", ".join(WIRE_TYPES)}; sign is for gradients alone')
        if order not in ('sorted', 'random'):
            raise ValueError(f"order={order!r}: 'sorted' or 'random'")
        self.spec = _spec(args, kwargs)
        if self.frozen_stages == self.num_layers:
            self.norm.requires_grad_(False)  # then no gradient leaves at all
        self.wire, self.grad_wire, self.order = wire, grad_wire or wire, order
        self.defense = GradientDefense(**(defense or {}))
        self.patience, self.address, self.certificates = patience, host, certificates
        self._patches_file = patches
        self._link = _Link(cache * 2**20)
        self.average = False  # whether to ask for the averaged weights

    @property
    def connection(self) -> HostConnection:
        """The open connection.

        Raises:
            RuntimeError: There is none yet.
        """
        if self._link.connection is None:
            raise RuntimeError(f'RemotePEViT is not connected: {_NOT_READY}')
        return self._link.connection

    @property
    def connected(self) -> bool:
        return self._link.connection is not None

    @property
    def frozen(self) -> bool:
        """Whether the host has nothing to train."""
        return not any(p.requires_grad for p in self.parameters())

    def expect_grids(self, grids: Sequence[tuple[int, int]] | None) -> None:
        """Patches per side of every image of the next batch, without the batch's padding."""
        self._link.grids = grids

    def connect(self, preprocessor: nn.Module, optimizer: dict, run: str, seed: int,
                step: int | None) -> dict:
        """Open a session, and give the host its weights or have it load a checkpoint.

        Args:
            preprocessor (Module): The detector's, with ``mean`` and ``std``.
            optimizer (dict): ``type`` and ``groups`` of ``names`` and ``options``.
            run (str): Identifier of the training, 32 hexadecimal digits.
            seed (int): Of stochastic depth.
            step (int, optional): Of the host's checkpoint to go on from.

        Returns:
            dict: The host's answer to the load, or {}.
        """
        link = self._link
        link.set_normalization(preprocessor)
        address = shift_port(self.address, get_rank())
        connection = HostConnection(address, self.certificates, self.patience)
        spec = dict(backbone=self.spec, mean=link.mean.flatten().tolist(),
                    std=link.std.flatten().tolist(), optimizer=optimizer, seed=seed)
        answer, _, _ = connection.call('open', spec=spec, run=run)
        self._match_store(answer)
        loaded: dict = {}
        if step is None:
            if self.released:
                raise HostError('the weights were given to a host before and are no longer here')
            for part in _chunks(nn.Module.state_dict(self)):
                connection.call('weights', part)
        else:
            loaded, _, _ = connection.call('load', run=run, step=step)
        link.connection = connection
        self.release()
        return loaded

    def _match_store(self, answer: dict) -> None:
        if self._patches_file is None:
            return
        store = PatchStore(self._patches_file)
        if answer.get('store_digest') != store.digest:
            raise HostError(f'the host has no or another file of patches than '
                            f'{self._patches_file}: start it with --patches and that file')
        self._link.stored = store.digests()

    @property
    def released(self) -> bool:
        return any(p.is_meta for p in self.parameters())

    def release(self) -> None:
        """Drop the values of the parameters; the parameters themselves stay in the optimizer."""
        for param in self.parameters():
            if not param.is_meta:
                empty = nn.Parameter(torch.empty_like(param, device='meta'), param.requires_grad)
                param.grad = None
                torch.utils.swap_tensors(param, empty)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W), normalized -> one (B, D, H / stride, W / stride) per output."""
        link, side = self._link, self.token_stride
        raw = link.undo_normalization(x)
        grids = link.grids or [(x.shape[2] // side, x.shape[3] // side)] * len(x)
        images, orders = [], []
        for image, (h, w) in zip(raw, grids, strict=True):
            patches = cut_patches(image[:, :h * side, :w * side], side)
            order = sorted_order(patches)
            if self.order == 'random' and link.stored is None:
                order = torch.from_numpy(_random_order(len(patches)))
            images.append(patches[order])
            orders.append(order)
        training = torch.is_grad_enabled() and not self.frozen
        rows = self._ask(images, training, _autocast())
        shape = (x.shape[2] // side, x.shape[3] // side)
        return tuple(_to_maps(r.to(x.device), orders, grids, shape) for r in rows)

    def _ask(self, images: list[Tensor], training: bool, amp: str | None) -> tuple[Tensor, ...]:
        if training:
            # A leaf that needs a gradient makes autograd call backward.
            start = torch.zeros((), requires_grad=True)
            return _RemoteForward.apply(start, self, images, amp)
        if self.frozen and not self.average:
            return self._cached(images, amp)
        return tuple(self.request(images, False, amp)[0])

    def _cached(self, images: list[Tensor], amp: str | None) -> tuple[Tensor, ...]:
        """Tokens of a frozen backbone: only images that were not seen before are sent."""
        cache = self._link.cache
        canonicals = [canonical(image) for image in images]
        keys = [digest_of(image) for image in canonicals]
        asked = {k: image for k, image in zip(keys, canonicals, strict=True) if k not in cache}
        if asked:
            outs, _ = self.request(list(asked.values()), False, amp)
            counts = [len(image) for image in asked.values()]
            for key, *parts in zip(asked, *(x.split(counts) for x in outs), strict=True):
                cache.put(key, tuple(parts))
        found = []
        for key, image in zip(keys, images, strict=True):
            back = sorted_order(image).argsort()
            found.append([rows[back] for rows in cache.take(key)])
        return tuple(torch.cat(parts) for parts in zip(*found, strict=True))

    def request(self, images: list[Tensor], training: bool, amp: str | None
                ) -> tuple[list[Tensor], int]:
        """Tokens from the host and the number of the request."""
        header: dict = dict(train=training, average=self.average, wire=self.wire)
        if amp is not None:
            header['amp'] = amp
        named = self._named(images)
        tensors = None
        if named is not None:
            header['stored'] = named
        else:
            header['patches'] = [len(image) for image in images]
            tensors = dict(patches=torch.cat(images))
        _, found, number = self.connection.call('forward', tensors, numbered=training, **header)
        count = sum(map(len, images))
        outs = [unpack_rows(found, self.wire, str(i), (count, self.embed_dims))
                for i in range(len(self.out_indices))]
        return outs, number

    def _named(self, images: list[Tensor]) -> list[list[int]] | None:
        """Indices and motions of images that the host has, None if it lacks one."""
        if self._link.stored is None:
            return None
        found = [self._link.stored.get(digest_of(image.contiguous())) for image in images]
        if None in found:
            self._link.warn_once('an image is not in the file of patches, its patches are sent: '
                                 'colors may not be augmented, nor images cropped, where none '
                                 'is to be sent')
            return None
        return [list(item) for item in found]

    def send_gradients(self, number: int, grads: Sequence[Tensor], images: list[Tensor]) -> None:
        """Give the host the gradients of the tokens of forward pass ``number``."""
        tensors: dict[str, Tensor] = {}
        bad = torch.tensor(any(not torch.isfinite(rows).all() for rows in grads), dtype=torch.int32)
        all_reduce(bad, 'max')  # the hosts of all processes average together, or none does
        if bad:
            self._link.overflow = True
            return
        for i, rows in enumerate(grads):
            tensors.update(pack_rows(self.defense(rows.float(), images), self.grad_wire, str(i)))
        answer, _, _ = self.connection.call('backward', tensors, forward=number,
                                            wire=self.grad_wire)
        norm = answer.get('squared_norm')
        if norm is not None and (type(norm) not in (int, float) or not 0 <= norm <= 1e300):
            raise ProtocolError('the host sent no squared norm of gradients')
        self._link.squared_norm = norm

    def take_norm(self) -> tuple[float | None, bool]:
        """Squared norm of the host's gradients, None if not finite, and whether some overflowed
        here."""
        link = self._link
        found = link.squared_norm, link.overflow
        link.squared_norm, link.overflow = 0., False
        return found

    def state_dict(self, *args, destination=None, prefix: str = '', **kwargs):
        """Nothing once the weights are with the host."""
        if self.released or destination is not None:
            return OrderedDict() if destination is None else destination
        return super().state_dict(*args, prefix=prefix, **kwargs)

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        """Direct children have tensors of their own; this module has none."""

    def load_state_dict(self, *args, **kwargs):
        if self.released:
            raise HostError('the weights are with the host')
        return super().load_state_dict(*args, **kwargs)

    def _apply(self, fn, recurse: bool = True):
        """Moving a detector moves no weights that are elsewhere."""
        return self if self.released else super()._apply(fn, recurse)


class _RemoteForward(torch.autograd.Function):
    """Forward and backward on the host."""

    @staticmethod
    def forward(ctx, start: Tensor, backbone: RemotePEViT, images: list[Tensor],
                amp: str | None) -> tuple[Tensor, ...]:
        outs, ctx.number = backbone.request(images, True, amp)
        ctx.backbone, ctx.images = backbone, images
        return tuple(outs)

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple:
        ctx.backbone.send_gradients(ctx.number, grads, ctx.images)
        return torch.zeros(()), None, None, None


class _Link:
    """What belongs to the connection; copies of the backbone, as EMA makes them, share it."""

    def __init__(self, cache_bytes: int) -> None:
        self.connection: HostConnection | None = None
        self.grids: Sequence[tuple[int, int]] | None = None
        self.stored: dict[bytes, tuple[int, int]] | None = None
        self.cache = _TokenCache(cache_bytes)
        self.squared_norm: float | None = 0.
        self.overflow = False
        self.mean = self.std = None
        self._warned = False

    def __deepcopy__(self, memo: dict) -> _Link:
        return self

    def set_normalization(self, preprocessor: nn.Module) -> None:
        if not getattr(preprocessor, '_enable_normalize', False):
            raise ValueError('a RemotePEViT needs mean and std in the data_preprocessor, to send '
                             'images as 8 bit: set both, e.g. 0 and 1')
        self.mean, self.std = preprocessor.mean.cpu(), preprocessor.std.cpu()

    def undo_normalization(self, x: Tensor) -> Tensor:
        if self.mean is None:
            raise RuntimeError(f'RemotePEViT is not connected: {_NOT_READY}')
        values = x.detach().cpu().float() * self.std + self.mean
        raw = values.round()
        # Padding of the batch is of the normalized frame, and is cut away later.
        if self.grids is None and ((values - raw).abs().max() > .01 or raw.min() < 0
                                   or raw.max() > 255):
            raise ValueError('the images are not of 8 bit, or the batch is padded: a RemotePEViT '
                             "sends 8-bit images; images of several sizes need type='KeyedOrder'")
        return raw.clamp(0, 255).to(torch.uint8)

    def warn_once(self, text: str) -> None:
        if not self._warned:
            print_log(text, logger='current')
            self._warned = True


class _TokenCache:
    """Tokens of images, by the digest of their patches, as many as fit."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._kept: OrderedDict[bytes, tuple[Tensor, ...]] = OrderedDict()
        self._last: dict[bytes, tuple[Tensor, ...]] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._kept

    def put(self, key: bytes, rows: tuple[Tensor, ...]) -> None:
        size = sum(x.numel() * x.element_size() for x in rows)
        self._last[key] = rows
        if self._size + size <= self._limit:
            self._kept[key] = tuple(x.clone() for x in rows)
            self._size += size

    def take(self, key: bytes) -> tuple[Tensor, ...]:
        return self._kept[key] if key in self._kept else self._last[key]


def _spec(args: tuple, kwargs: dict) -> dict:
    """Arguments of PEViT as JSON; where weights come from is not the host's business."""
    if args:
        raise TypeError('give the arguments of RemotePEViT by name')
    plain = {k: v for k, v in kwargs.items() if k != 'init_cfg' and v is not None}
    if isinstance(plain.get('arch'), dict):
        plain['arch'] = dict(plain['arch'])
    if isinstance(plain.get('out_indices'), (list, tuple)):
        plain['out_indices'] = list(plain['out_indices'])
    return plain


def _random_order(count: int) -> np.ndarray:
    """A permutation from the operating system's random numbers."""
    return np.frombuffer(os.urandom(8 * count), np.uint64).argsort(kind='stable')


def _autocast() -> str | None:
    for device in ('cpu', 'cuda'):
        if torch.is_autocast_enabled(device):
            return str(torch.get_autocast_dtype(device)).removeprefix('torch.')
    return None


def _chunks(state: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    part: dict[str, Tensor] = {}
    size = 0
    for name, value in state.items():
        if part and size + value.numel() * 4 > _CHUNK:
            yield part
            part, size = {}, 0
        part[name] = value.float()
        size += value.numel() * 4
    yield part


def _to_maps(rows: Tensor, orders: Sequence[Tensor], grids: Sequence[tuple[int, int]],
             shape: tuple[int, int]) -> Tensor:
    """(T, D), all images one after the other -> (B, D, H, W), each patch in its place."""
    parts = rows.split([h * w for h, w in grids])
    maps = []
    for part, order, (h, w) in zip(parts, orders, grids, strict=True):
        plain = part[order.argsort().to(rows.device)].t().unflatten(1, (h, w))
        maps.append(nn.functional.pad(plain, (0, shape[1] - w, 0, shape[0] - h)))
    return torch.stack(maps)
