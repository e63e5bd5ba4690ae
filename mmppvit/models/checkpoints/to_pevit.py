"""Checkpoints for PEViT, which knows no positions."""
from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mmppvit.models.checkpoints.embedding import KERNEL, Embedding
from mmppvit.models.checkpoints.fitting import Fitting
from mmppvit.models.checkpoints.layouts import Source, layout_of
from mmppvit.models.checkpoints.load_report import LoadReport
from mmppvit.models.checkpoints.positions import split_table
from mmppvit.models.checkpoints.vit_shapes import (
    CLASSIFIER_HEADS,
    absent_bias,
    block_shapes,
    check_released_embedding,
    fill_final_norm,
    find_arch,
    is_plain,
    name_of,
)

__all__ = ['NEW_IN_PEVIT', 'fit_pevit', 'to_pevit']

# Parts that a plain ViT cannot have, and which start from their initialization.
NEW_IN_PEVIT = dict.fromkeys(('reference_encoding.', 'patch_embed.mixer.'),
                             'new: a plain ViT has none') | {
    'cls_token': 'the checkpoint has no class token'}
_NO_PLACE = {
    **dict.fromkeys(('pos_embed', 'mid_pos_embed'), 'PEViT knows no positions'),
    **dict.fromkeys(('cls_token', 'dist_token', 'reg_token', 'mask_token', 'det_token'),
                    'as a backbone, PEViT has no tokens but the patches'),
    **dict.fromkeys(CLASSIFIER_HEADS, 'classification head'),
    **dict.fromkeys(('class_embed', 'bbox_embed'), "YOLOS' heads read detection tokens"),
}


def to_pevit(state: Mapping[str, Tensor], source: str, arch: str | dict | None = None,
             patch_size: int = 16, grid: int = 2, nonlinear_embed: bool = False,
             kernel: str = 'pinv', class_token: bool = False
             ) -> tuple[dict[str, Tensor], LoadReport]:
    """Make a checkpoint one of a PEViT.

    Args:
        state (Mapping[str, Tensor]): The checkpoint.
        source (str): Its layout, one of ``SOURCES``; that of a PEViT is 'timm'.
        arch (str | dict, optional): As for PEViT; None: as in the checkpoint.
        patch_size (int): As for PEViT.
        grid (int): As for PEViT.
        nonlinear_embed (bool): As for PEViT.
        kernel (str): How a kernel of another patch size is resampled, 'pinv', 'bicubic' or
            'direct': see :func:`~mmppvit.models.checkpoints.kernel_resampling.resample_kernel`.
        class_token (bool): As for PEViT.

    Returns:
        tuple[dict[str, Tensor], LoadReport]: Tensors under PEViT's names, and the account.

    Raises:
        ValueError: The checkpoint is of another layout, or its embedding cannot become this one.
    """
    read = Source.read(state, source)
    plain, layout, source = is_plain(read, source), source, layout_of(source)
    arch = find_arch(read, arch)
    embedding = Embedding(patch_size, grid, nonlinear_embed, kernel)
    if source == 'peyolos':
        check_released_embedding(read, embedding)
    dims = arch['embed_dims']
    shapes = {**embedding.shapes(dims, read.tensors[KERNEL].shape[1]), **_reference_shapes(dims),
              **block_shapes(arch)}
    if class_token:
        shapes['cls_token'] = torch.Size((1, 1, dims))
    fitting = fit_pevit(read, shapes, embedding, plain)
    if source == 'vitdet':
        fill_final_norm(fitting)
    converted, report = fitting.finish(
        NEW_IN_PEVIT | (absent_bias(read) if layout == 'clip' else {}))
    report.config = dict(backbone=dict(
        type='PEViT', arch=name_of(arch), patch_size=patch_size, grid=grid,
        nonlinear_embed=nonlinear_embed, **dict(class_token=True) if class_token else {}))
    return converted, report


def fit_pevit(source: Source, shapes: Mapping[str, torch.Size], embedding: Embedding, plain: bool,
              reason: Callable[[str], str | None] = lambda name: None) -> Fitting:
    """Put what there is into the places of a PEViT.

    Args:
        source (Source): The tensors.
        shapes (Mapping[str, Size]): The places.
        embedding (Embedding): The PEViT's.
        plain (bool): Whether the source's kernel is certainly one for plain images.
        reason (Callable): Why a tensor without a place rightly has none, beyond the usual.
    """
    fitting = Fitting(source, shapes)
    for name in source.tensors:
        why = None if name in shapes else _NO_PLACE.get(name.partition('.')[0]) or reason(name)
        if why:
            fitting.drop(name, why)
        elif name == KERNEL:
            fitting.place_kernel(embedding, plain)
        elif name == 'cls_token':
            fitting.place(name, *_with_position(source))
        else:
            fitting.place(name)
    return fitting


def _with_position(source: Source) -> tuple[Tensor, str] | tuple[()]:
    """The class token and its own position, which is no place in the image: it may stay."""
    token, table = source.tensors['cls_token'], source.tensors.get('pos_embed')
    if table is None:
        return ()
    # YOLOS' table has rows for detection tokens besides, and is that of no square.
    own = table[:, :1] if 'det_token' in source.tensors else split_table(table)[0][:, :1]
    return (token.float() + own.float(), 'its position added') if own.shape[1] else ()


def _reference_shapes(dims: int) -> dict[str, torch.Size]:
    shapes = {'reference': (dims, ), 'fc1.weight': (dims, dims), 'fc1.bias': (dims, ),
              'fc2.weight': (dims, dims), 'fc2.bias': (dims, )}
    return {f'reference_encoding.{name}': torch.Size(shape) for name, shape in shapes.items()}
