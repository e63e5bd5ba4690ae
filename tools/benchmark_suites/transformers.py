"""Vision transformers: PEViT and PEYOLOS, forward and in training."""
from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from functools import partial

import torch
from timm import create_model
from timm.layers import set_fused_attn
from torch import Tensor, nn

from benchmark_suites.case import Case
from mmppvit.models import PEViT, YOLOSHead, YOLOSViT
from mmppvit.models.layers import read_last, run_block

_STEPS = 'fused attention', 'fused attention, less kept'


def backbone_cases(args: argparse.Namespace) -> Iterator[Case]:
    """PEViT against timm's ViT on plain images, and against attention that is written out."""
    for arch, size, train in _settings(args):
        make = _maker(args, arch, size, train)
        name, shape = _label('PEViT', arch, train), f'{size[0]}x{size[1]}x3'
        for grid in (1, 2):
            yield Case(f'{name} g{grid}', shape, partial(make, build_pevit, grid), 'timm ViT',
                       partial(make, build_timm, 1))
        if fits_written_out(arch, size, train, args.device):
            yield Case(f'{name} g2', shape, partial(make, build_pevit, 2),
                       'eager attention', partial(make, build_pevit, 2, fused=False))


def peyolos_cases(args: argparse.Namespace) -> Iterator[Case]:
    """PEYOLOS against itself with attention that is written out: step by step of what makes it
    faster, and saving memory further."""
    for arch, size, train in _settings(args):
        make = _maker(args, arch, size, train)
        name, shape = f'{_label("PEYOLOS", arch, train)} g2', f'{size[0]}x{size[1]}x3'
        if not fits_written_out(arch, size, train, args.device):
            continue
        baseline = partial(make, build_peyolos, 2, fused=False)
        for steps, what in enumerate(_STEPS):
            build = partial(build_peyolos, steps=steps)
            yield Case(f'{name} {what}', shape, partial(make, build, 2), 'eager attention',
                       baseline)
        yield Case(name, shape, partial(make, build_peyolos, 2), 'eager attention', baseline)
        if train:
            yield Case(f'{name} with_cp', shape, partial(make, build_peyolos_with_cp, 2),
                       'eager attention', baseline)


def _settings(args: argparse.Namespace) -> Iterator[tuple[str, tuple[int, int], bool]]:
    sizes = ((32, 48), ) if args.quick else ((512, 864), (800, 1344))
    for arch in ('tiny', ) if args.quick else ('tiny', 'small'):
        for size in sizes:
            for train in (False, True):
                yield arch, size, train


def _label(model: str, arch: str, train: bool) -> str:
    return f'{model} {arch} {"train" if train else "forward"}'


def _maker(args: argparse.Namespace, arch: str, size: tuple[int, int], train: bool) -> Callable:
    return partial(make_step, arch, size, train, args.device, args.amp)


def fits_written_out(arch: str, size: tuple[int, int], train: bool, device: str) -> bool:
    """Whether the attention scores, two copies a block in training, fit into half the memory."""
    heads, tokens = {'tiny': 3, 'small': 6}[arch], size[0] * size[1] // 256
    needed = heads * tokens**2 * 4 * 2 * (12 if train else 1)
    free = os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') if device == 'cpu' \
        else torch.cuda.mem_get_info()[0]
    return needed < free / 2


def build_timm(arch: str, grid: int) -> nn.Module:
    model = create_model(f'deit_{arch}_patch16_224', num_classes=0, dynamic_img_size=True)
    model.forward = model.forward_features
    return model


def build_pevit(arch: str, grid: int) -> nn.Module:
    return PEViT(arch, grid=grid)


def build_peyolos(arch: str, grid: int, with_cp: bool = False, steps: int | None = None
                  ) -> nn.Module:
    """Trunk and head of the detector, without losses and decoding.

    Args:
        arch (str): Of the trunk.
        grid (int): Sub-patches per side.
        with_cp (bool): Recompute the blocks.
        steps (int, optional): How many steps that make it faster to take; None for all.
    """
    kind = YOLOSViT if steps is None else partial(_Stepwise, steps)
    trunk = kind(arch, grid=grid, nonlinear_embed=True, with_cp=with_cp)
    return _PEYOLOS(trunk, YOLOSHead(80, trunk.embed_dims))


def build_peyolos_with_cp(arch: str, grid: int) -> nn.Module:
    return build_peyolos(arch, grid, with_cp=True)


class _Stepwise(YOLOSViT):
    """With fused attention alone (0), or also what is kept for the backward pass (1)."""

    def __init__(self, steps: int, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.steps = steps

    def _run(self, function: Callable, block: nn.Module, x: Tensor, *args) -> Tensor:
        whole = run_block if self.steps else (lambda block, x, mask: block(x, attn_mask=mask))
        x = whole(block, x, args[-1])
        return x[:, -args[0]:] if function is read_last else x


class _PEYOLOS(nn.Module):

    def __init__(self, trunk: YOLOSViT, head: YOLOSHead) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.trunk(x)[None])


def make_step(arch: str, size: tuple[int, int], train: bool, device: str, amp: bool,
              build: Callable[[str, int], nn.Module], grid: int,
              fused: bool = True) -> Callable[[], None]:
    """A forward pass of one image, or one with its backward pass."""
    set_fused_attn(fused)  # read when a block is built
    model = build(arch, grid).to(device).train(train)
    set_fused_attn(True)
    x = torch.randn(1, 3, *(side // grid for side in size), device=device)

    def run() -> None:
        with torch.set_grad_enabled(train), torch.autocast(device, torch.bfloat16, enabled=amp):
            out = model(x)
            outs = [out] if isinstance(out, Tensor) else out
        if train:
            model.zero_grad()
            sum(out.float().square().mean() for out in outs).backward()
        if device == 'cuda':
            torch.cuda.synchronize()

    return run
