"""Checkpoints for PEYOLOS: positions, detection tokens and YOLOS' heads."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmppvit.models.checkpoints.coco_classes import COCO_LOGITS, coco80_rows
from mmppvit.models.checkpoints.embedding import KERNEL, Embedding
from mmppvit.models.checkpoints.fitting import Fitting
from mmppvit.models.checkpoints.layouts import Source, layout_of
from mmppvit.models.checkpoints.load_report import LoadReport
from mmppvit.models.checkpoints.positions import draw_rows, infer_cells, resize_rows
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

__all__ = ['TableSizes', 'to_peyolos']

_PREFIX = 'backbone.'
_YOLOS = ('yolos', 'peyolos')
_HEADS = ('class_embed', 'bbox_embed')
_LOGITS = 'class_embed.layers.2.'
_NO_PLACE = {
    **dict.fromkeys(('dist_token', 'reg_token', 'mask_token'), 'PEYOLOS has no such token'),
    **dict.fromkeys(CLASSIFIER_HEADS, 'classification head'),
    'reference_encoding': 'PEYOLOS has positions instead',
}
_NEW_EMBED = 'the embedding starts anew: --new-embed'
_NEW = {'backbone.patch_embed.mixer.': 'new: a plain ViT has none',
        'backbone.mid_pos_embed': 'the checkpoint has positions at the input only'}
_NEW_TO_VITS = {'backbone.pos_embed': 'new: the checkpoint has no positions',
                'backbone.det_token': 'new: a ViT has no detection tokens',
                'bbox_head.': 'new: a ViT has no detection heads'}


@dataclass(frozen=True)
class TableSizes:
    """Height and width of the plain images that tables of positions are for.

    Args:
        init: Of the checkpoint's table; None to infer it.
        mid_init: Of its tables between blocks; None to infer it.
        table: Of the new table; None for that of the checkpoint.
        mid_table: Of the new ones between blocks; None for those of the checkpoint, if any.
    """
    init: tuple[int, int] | None = None
    mid_init: tuple[int, int] | None = None
    table: tuple[int, int] | None = None
    mid_table: tuple[int, int] | None = None


def to_peyolos(state: Mapping[str, Tensor], source: str, arch: str | dict | None = None,
               patch_size: int = 16, grid: int = 2, nonlinear_embed: bool = False,
               sizes: TableSizes = TableSizes(), num_det_tokens: int | None = None,
               classes: str | None = None, new_embed: bool = False, drop_mid_table: bool = False,
               kernel: str = 'pinv') -> tuple[dict[str, Tensor], LoadReport]:
    """Make a checkpoint one of the detector PEYOLOS.

    Args:
        state (Mapping[str, Tensor]): The checkpoint.
        source (str): Its layout, one of ``SOURCES``.
        arch (str | dict, optional): As for YOLOSViT; None: as in the checkpoint.
        patch_size (int): As for YOLOSViT.
        grid (int): As for YOLOSViT.
        nonlinear_embed (bool): As for YOLOSViT.
        sizes (TableSizes): Of the tables of positions.
        num_det_tokens (int, optional): Of a checkpoint without detection tokens; 100 if None.
        classes (str, optional): 'coco80' picks COCO's 80 classes among the 92 logits of a YOLOS,
            'keep' takes the head as it is; None: 'coco80' where there are 92.
        new_embed (bool): Leave the embedding at its initialization, as the released PEYOLOS does.
        drop_mid_table (bool): Leave out the tables of positions between blocks.
        kernel (str): As for :func:`~mmppvit.models.checkpoints.to_pevit`.

    Returns:
        tuple[dict[str, Tensor], LoadReport]: Tensors under the detector's names, and the account.

    Raises:
        ValueError: The checkpoint is of another layout, its embedding, tables or classes cannot
            become these, or it has no positions and ``sizes`` has no table.
    """
    read = Source.read(state, source)
    plain, layout, source = is_plain(read, source), source, layout_of(source)
    arch = find_arch(read, arch)
    embedding = Embedding(patch_size, grid, nonlinear_embed, kernel)
    if drop_mid_table and 'mid_pos_embed' in read.tensors:
        read.drop({'mid_pos_embed': 'left out: --drop-mid-table'})
    if source == 'peyolos' and not new_embed:
        check_released_embedding(read, embedding)
    queries = _num_queries(read, num_det_tokens)
    tables = _Tables(patch_size, _source_patch(read, source), queries, sizes)
    values = tables.convert(read)
    if source in _YOLOS:
        values |= _select_classes(read, classes)
    shapes = _shapes(read, arch, embedding, tables, values)
    fitting = Fitting(read, shapes, _PREFIX)
    _place_all(fitting, embedding, plain, values, new_embed)
    if source == 'vitdet':
        fill_final_norm(fitting)
    new = {'backbone.patch_embed.': _NEW_EMBED} if new_embed else {}
    if layout == 'clip':
        new |= absent_bias(read, _PREFIX)
    converted, report = fitting.finish(new | _new_parts(source))
    report.config = _config(name_of(arch), embedding, queries, tables, shapes)
    return converted, report


def _num_queries(source: Source, wanted: int | None) -> int:
    tokens = source.tensors.get('det_token')
    if tokens is None:
        return 100 if wanted is None else wanted
    if wanted not in (None, tokens.shape[1]):
        raise ValueError(f'the checkpoint has {tokens.shape[1]} detection tokens: leave '
                         f'--det-tokens {wanted} out')
    return tokens.shape[1]


def _source_patch(source: Source, layout: str) -> int:
    side = source.tensors[KERNEL].shape[-1]
    return 2 * side if layout == 'peyolos' else side


@dataclass
class _Tables:
    """Tables of positions of a PEYOLOS out of those of a ViT or a YOLOS.

    ``cells`` are rows and columns of the tables that were made.
    """
    patch_size: int
    source_patch: int
    queries: int
    sizes: TableSizes
    cells: dict[str, tuple[int, int]] = field(default_factory=dict)

    def convert(self, source: Source) -> dict[str, tuple[Tensor, str]]:
        """The new tables and how they were made, by name; '' if they are as they were."""
        if 'pos_embed' not in source.tensors:
            self._leave_new(source)
            return {}
        if 'det_token' not in source.tensors:
            return {'pos_embed': self._of_vit(source)}
        table = source.tensors['pos_embed']
        made = {'pos_embed': self._of_yolos('pos_embed', table, self.sizes.init, '--init-size',
                                            self.sizes.table)}
        if 'mid_pos_embed' in source.tensors:
            mid = source.tensors['mid_pos_embed']
            # As in the released models, the tables are of one size unless something else is said.
            size = self.sizes.mid_init or (
                self.sizes.init if mid.shape[2] == table.shape[1] else None)
            value, how = self._of_yolos('mid_pos_embed', mid[:, 0], size, '--mid-init-size',
                                        self.sizes.mid_table)
            made['mid_pos_embed'] = value[:, None], how
        return made

    def _leave_new(self, source: Source) -> None:
        """For a PEViT, which has no positions: the table of the model stays as it starts."""
        if 'det_token' in source.tensors:
            raise ValueError('the checkpoint has no pos_embed, and PEYOLOS needs positions')
        if self.sizes.table is None:
            raise ValueError('the checkpoint has no positions, as those of PEViT: give the size of '
                             'the images that the new table is for, --table-size H W')
        self.cells['pos_embed'] = self._new_cells(self.sizes.table)

    def _new_cells(self, size: tuple[int, int]) -> tuple[int, int]:
        cells = size[0] // self.patch_size, size[1] // self.patch_size
        if min(cells) < 1:
            raise ValueError(f'a table for {size[0]}x{size[1]} has no patch of {self.patch_size}')
        return cells

    def _of_yolos(self, name: str, table: Tensor, size: tuple[int, int] | None, option: str,
                  to: tuple[int, int] | None) -> tuple[Tensor, str]:
        """(T, 1 + n + Q, D) with n patches of another size."""
        rows = table.shape[1] - 1 - self.queries
        first, patches, last = table.split([1, rows, self.queries], dim=1)
        patches, how = self._resize(name, patches, size, option, to)
        return torch.cat((first, patches, last), dim=1), how

    def _of_vit(self, source: Source) -> tuple[Tensor, str]:
        """(1, K + n, D), K rows of class tokens and the like, as (1, 1 + N + Q, D)."""
        table = source.tensors['pos_embed']
        lead = self._leading_rows(source)
        patches, how = self._resize('pos_embed', table[:, lead:], self.sizes.init, '--init-size',
                                    self.sizes.table)
        first = table[:, :1] if lead else torch.zeros_like(table[:, :1])
        drawn = draw_rows(self.queries, table.shape[2]).to(table.dtype)
        steps = [how] if how else []
        if not lead:
            steps.append('class token at 0, for the table has none')
        if lead > 1:
            steps.append(f'{lead - 1} rows of dist or register tokens dropped')
        steps.append(f'rows of {self.queries} detection tokens drawn at random')
        return torch.cat((first, patches, drawn), dim=1), ', '.join(steps)

    def _leading_rows(self, source: Source) -> int:
        """Rows of the class token and those beside it; some ViTs give only patches positions."""
        rows, size = source.tensors['pos_embed'].shape[1], self.sizes.init
        beside = sum(source.tensors[name].shape[1] for name in ('dist_token', 'reg_token')
                     if name in source.tensors)
        wanted = size and (size[0] // self.source_patch) * (size[1] // self.source_patch)
        for lead in (1 + beside, 1, 0):
            if rows - lead == wanted or (not size and math.isqrt(rows - lead)**2 == rows - lead):
                return lead
        return 1 + beside

    def _resize(self, name: str, patches: Tensor, size: tuple[int, int] | None, option: str,
                to: tuple[int, int] | None) -> tuple[Tensor, str]:
        cells = infer_cells(patches.shape[1], self.source_patch, size, option)
        new = cells if to is None else self._new_cells(to)
        self.cells[name] = new
        how = '' if new == cells else 'patches {}x{} resized to {}x{}'.format(*cells, *new)
        return resize_rows(patches, cells, new), how


def _select_classes(source: Source, classes: str | None) -> dict[str, tuple[Tensor, str]]:
    """The last layer of the class head and how it was made, by name."""
    last = {name: value for name, value in source.tensors.items() if name.startswith(_LOGITS)}
    if classes not in (None, 'coco80', 'keep'):
        raise ValueError(f"classes {classes!r} is unknown: 'coco80' or 'keep'")
    if classes is None:
        classes = 'coco80' if all(len(x) == COCO_LOGITS for x in last.values()) else 'keep'
    if classes == 'keep':
        return {}
    how = f"{COCO_LOGITS} logits, of which COCO's 80 classes and no object"
    return {name: (coco80_rows(value), how) for name, value in last.items()}


def _shapes(source: Source, arch: Mapping, embedding: Embedding, tables: _Tables,
            values: Mapping[str, tuple[Tensor, str]]) -> dict[str, torch.Size]:
    """Names and shapes of the detector's tensors; () where nothing will be placed."""
    dims, queries = arch['embed_dims'], tables.queries
    rows = 1 + math.prod(tables.cells['pos_embed']) + queries
    shapes = {'cls_token': (1, 1, dims), 'det_token': (1, queries, dims),
              'pos_embed': (1, rows, dims)}
    if 'mid_pos_embed' in values:
        rows = values['mid_pos_embed'][0].shape[2]
        shapes['mid_pos_embed'] = (arch['num_layers'] - 1, 1, rows, dims)
    elif tables.sizes.mid_table:
        shapes['mid_pos_embed'] = ()
    shapes |= embedding.shapes(dims, source.tensors[KERNEL].shape[1])
    shapes |= block_shapes(arch)
    shapes = {_PREFIX + name: torch.Size(shape) for name, shape in shapes.items()}
    logits = values.get(f'{_LOGITS}weight', (source.tensors.get(f'{_LOGITS}weight'), ))[0]
    for head, last in zip(_HEADS, (0 if logits is None else len(logits), 4), strict=True):
        for i, out in enumerate((dims, dims, last)):
            name = f'bbox_head.{head}.layers.{i}.'
            shapes |= {f'{name}weight': torch.Size((out, dims)), f'{name}bias': torch.Size((out, ))}
    return shapes


def _place_all(fitting: Fitting, embedding: Embedding, plain: bool,
               values: Mapping[str, tuple[Tensor, str]], new_embed: bool) -> None:
    for name in fitting.source.tensors:
        root = name.partition('.')[0]
        if root in _NO_PLACE:
            fitting.drop(name, _NO_PLACE[root])
        elif new_embed and root == 'patch_embed':
            fitting.drop(name, _NEW_EMBED)
        elif name == KERNEL:
            fitting.place_kernel(embedding, plain)
        else:
            target = f'bbox_head.{name}' if root in _HEADS else None
            fitting.place(name, *values.get(name, ()), target=target)


def _new_parts(source: str) -> dict[str, str]:
    if source in _YOLOS:
        return _NEW
    if source == 'vitdet':
        return {**_NEW, **_NEW_TO_VITS, 'backbone.cls_token': 'ViTDet has no class token'}
    return {**_NEW, **_NEW_TO_VITS}


def _config(arch: str | dict, embedding: Embedding, queries: int, tables: _Tables,
            shapes: Mapping[str, torch.Size]) -> dict:
    size = embedding.patch_size
    backbone = dict(type='YOLOSViT', arch=arch, patch_size=size, grid=embedding.grid,
                    nonlinear_embed=embedding.nonlinear, num_det_tokens=queries)
    for name, option in (('pos_embed', 'table_size'), ('mid_pos_embed', 'mid_table_size')):
        if name in tables.cells:
            backbone[option] = tuple(side * size for side in tables.cells[name])
        elif f'{_PREFIX}{name}' in shapes:
            backbone[option] = tuple(tables.sizes.mid_table)
    logits, dims = shapes[f'bbox_head.{_LOGITS}weight']
    head = dict(type='YOLOSHead', embed_dims=dims)
    return dict(backbone=backbone, bbox_head=dict(head, num_classes=logits - 1) if logits else head)
