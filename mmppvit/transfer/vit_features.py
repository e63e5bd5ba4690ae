"""Features of encrypted views: the mean of the patch tokens of a pretrained backbone."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmppvit.encryption import Scheme
from mmppvit.models import PEViT
from mmppvit.models.checkpoints import adapt_state_dict, reject_problems
from mmppvit.models.checkpoints.layouts import guess_source, read_vit, strip_wrappers
from mmppvit.transfer.positioned_vit import PositionedViT, arch_of

__all__ = ['IMAGENET', 'POSITIONS', 'PixelScale', 'build_backbone', 'encrypt_views',
           'mean_tokens', 'measure_scale', 'positions_of', 'tokens_of']

POSITIONS = ('kept', 'class', 'none')
_BATCH = 25


class PixelScale(NamedTuple):
    """Mean and deviation of the channels, RGB, by which pixels are normalized."""
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, images: np.ndarray) -> Tensor:
        """uint8 (N, H, W, 3), BGR -> float32 (N, 3, H, W), RGB, normalized."""
        pixels = torch.from_numpy(np.ascontiguousarray(images[..., ::-1])).permute(0, 3, 1, 2)
        mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in self)
        return (pixels.float() - mean) / std


IMAGENET = PixelScale((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def measure_scale(images: np.ndarray) -> PixelScale:
    """Of images as they enter the network, uint8 (N, H, W, 3), BGR."""
    pixels = images[..., ::-1].reshape(-1, 3).astype(np.float64)
    return PixelScale(tuple(pixels.mean(0).tolist()),
                      tuple(np.maximum(pixels.std(0), 1).tolist()))


def encrypt_views(images: np.ndarray, scheme: Scheme | None) -> np.ndarray:
    """uint8 (N, H, W, 3) -> encrypted, patches in order: who trains has the key or needs none."""
    if scheme is None:
        return images
    return np.stack([scheme.in_order(img, str(i)) for i, img in enumerate(images)])


def positions_of(state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Those of :data:`POSITIONS` that a checkpoint can have; a PEViT has one."""
    source = strip_wrappers(state)
    tensors = read_vit(source, guess_source(source.tensors)).tensors
    token = ('class', ) if 'cls_token' in tensors else ()
    return ('kept', *token, 'none') if 'pos_embed' in tensors else token or ('none', )


def build_backbone(state: Mapping[str, Tensor] | None, patch_size: int, grid: int = 1,
                   positions: str = 'none', kernel: str = 'pinv', seed: int = 0,
                   num_heads: int | None = None, reference_encoding: bool | None = None,
                   arch: str | dict = 'small') -> nn.Module:
    """A backbone in evaluation mode.

    Args:
        state (Mapping[str, Tensor], optional): The checkpoint of a ViT or a PEViT; None: random
            weights.
        patch_size (int): Side of a patch of the plain image in pixels.
        grid (int): Sub-patches per side; 1 for plain images.
        positions (str): 'kept', as it was pretrained; 'class', without positions and with the class
            token; 'none', without both. The last two are a PEViT.
        kernel (str): How a kernel of another patch size is resampled.
        seed (int): Of random weights.
        num_heads (int, optional): See :func:`~mmppvit.transfer.positioned_vit.arch_of`.
        reference_encoding (bool, optional): Of the PEViT; None: if the checkpoint has one.
        arch (str | dict): Of random weights.

    Raises:
        ValueError: The checkpoint does not fit, or has no positions that could be kept.
    """
    if positions not in POSITIONS:
        raise ValueError(f'no positions {positions!r}: choose one of {", ".join(POSITIONS)}')
    if state is None:
        torch.manual_seed(seed)
        return PEViT(arch, patch_size, grid, reference_encoding=bool(reference_encoding)).eval()
    if positions not in positions_of(state):
        raise ValueError(f'the checkpoint has no positions {positions!r}: choose one of '
                         f'{", ".join(positions_of(state))}')
    if positions == 'kept':
        return PositionedViT(state, patch_size, grid, kernel, num_heads).eval()
    if reference_encoding is None:
        reference_encoding = any('reference_encoding.' in name for name in state)
    torch.manual_seed(seed)
    model = PEViT(arch_of(state, num_heads), patch_size, grid,
                  reference_encoding=reference_encoding, class_token=positions == 'class').eval()
    adapted, report = adapt_state_dict(state, model, kernel)
    reject_problems(report, 'the checkpoint does not fit', 'Give its --patch-size and scheme')
    print_log(f'PEViT, positions {positions}:\n{report}', logger='silent')
    model.load_state_dict(adapted, strict=False)
    return model


def tokens_of(model: nn.Module, x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, N, D), of a PEViT or a PositionedViT, on its device; GPUs in bfloat16."""
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == 'cuda'):
        out = model(x.to(device))
    return out if isinstance(out, Tensor) else out[-1].flatten(2).transpose(1, 2)


@torch.inference_mode()
def mean_tokens(model: nn.Module, images: np.ndarray, scale: PixelScale,
                progress: Callable[[int, int], None] = lambda done, total: None) -> np.ndarray:
    """float32 (N, D): the mean of the patch tokens of each of ``images``, uint8 (N, H, W, 3)."""
    found = []
    for start in range(0, len(images), _BATCH):
        batch = scale.apply(images[start:start + _BATCH])
        found.append(tokens_of(model, batch).mean(1).float().cpu().numpy())
        progress(start + len(batch), len(images))
    return np.concatenate(found)
