"""Learned protection of images, in PyTorch and as ONNX."""
from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmark_suites.case import Case
from mmppvit.encryption import mix_sub_patches
from mmppvit.models.protectors import (
    ProtectionUNet,
    load_protector,
    protect_image,
    save_protector,
)
from mmppvit.models.protectors.onnx_export import export_onnx


def protection_cases(args: argparse.Namespace) -> Iterator[Case]:
    """Protectors against the same ones in ONNX Runtime, and the light one against mixing."""
    sizes = [(48, 64)] if args.quick else [(384, 512), (800, 1344)]
    for height, width in sizes:
        shape = f'{height}x{width}x3'
        for arch in ('light', 'paper'):
            yield Case(f'protect_image, {arch}', shape,
                       partial(make_torch, arch, height, width), 'ONNX Runtime, float32',
                       partial(make_onnx, arch, height, width, args.threads))
        yield Case('protect_image, light', shape, partial(make_torch, 'light', height, width),
                   'mix_sub_patches P16 g2', partial(make_mix, height, width))


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def make_torch(arch: str, height: int, width: int) -> Callable:
    torch.manual_seed(0)
    return partial(protect_image, ProtectionUNet(arch).eval(), _image(height, width))


def make_onnx(arch: str, height: int, width: int, threads: int) -> Callable:
    import onnxruntime  # this suite alone needs it
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        saved, exported = Path(folder, 'a.safetensors'), Path(folder, 'a.onnx')
        save_protector(saved, ProtectionUNet(arch), made_for=None)
        export_onnx(exported, load_protector(saved), (height, width))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(
            exported.read_bytes(), options, providers=['CPUExecutionProvider'])
    return partial(session.run, None, {'image': _image(height, width)})


def make_mix(height: int, width: int) -> Callable:
    return partial(mix_sub_patches, _image(height, width), 16, 2)
