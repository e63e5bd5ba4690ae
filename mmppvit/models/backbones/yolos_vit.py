"""The backbone of YOLOS and PEYOLOS: a DeiT that carries detection tokens."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from mmdet.registry import MODELS
from timm.layers import trunc_normal_
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from mmppvit.models.backbones.vit_backbone import ViTBackbone
from mmppvit.models.layers import (
    MixedPatchEmbed,
    build_blocks,
    init_vit_weights,
    read_last,
    resolve_arch,
    run_block,
    start_local,
    vit_norm,
)

__all__ = ['YOLOSViT']


@MODELS.register_module()
class YOLOSViT(ViTBackbone):
    """DeiT with learned detection tokens, of images mixed with ``grid`` (Hao et al., arXiv
    2306.03679); ``grid=1`` is the backbone of YOLOS (Fang et al., arXiv 2106.00666).

    Mixing keeps the order of the patches, so this one has positions: a table of the size of
    ``table_size``, resized to every image. Shuffled images are for PEViT.

    An image that shares a batch with a larger one is not disturbed by it: its positions are
    those of its own size, and the padding is hidden from all tokens.

    Args:
        arch (str | dict): 'tiny', 'small', 'base' (DeiT's), or a dict with ``embed_dims``,
            ``num_layers``, ``num_heads`` and optionally ``mlp_ratio``.
        patch_size (int): Side of a patch of the plain image in pixels.
        grid (int): Sub-patches per side that were mixed into one; 1 for plain images.
        in_channels (int): Channels of the image.
        nonlinear_embed (bool): The paper's embedding, with GELU and a 1x1 convolution.
        num_det_tokens (int): Q, the number of detection tokens: the most objects per image.
        table_size (tuple[int, int]): Height and width, in pixels of the plain image, that the
            table of positions is for.
        mid_table_size (tuple[int, int], optional): The same for the tables that YOLOS-small and
            -base add after every block but the last; None for no such tables.
        local_start (bool): Start with detection tokens that attend to patches near places of
            their own, for training from scratch: see :func:`mmppvit.models.layers.start_local`.
            For weights that are loaded it makes no difference.
        torch_embed_init (bool): Start the convolutions of the embedding as PyTorch does, which is
            how the released detector starts, and not from DeiT's truncated normal.
        drop_path_rate (float): Stochastic depth of the last block; it grows linearly up to it.
        with_cp (bool): Recompute the blocks in the backward pass to save memory.
        init_cfg (dict, optional): ``dict(type='Pretrained', checkpoint=FILE)`` loads a file that
            ``tools/convert_checkpoint.py --target peyolos`` wrote.
    """

    def __init__(self,
                 arch: str | dict = 'small',
                 patch_size: int = 16,
                 grid: int = 2,
                 in_channels: int = 3,
                 nonlinear_embed: bool = False,
                 num_det_tokens: int = 100,
                 table_size: tuple[int, int] = (800, 1344),
                 mid_table_size: tuple[int, int] | None = None,
                 local_start: bool = False,
                 torch_embed_init: bool = False,
                 drop_path_rate: float = 0.,
                 with_cp: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        arch = resolve_arch(arch)
        self.embed_dims = dims = arch['embed_dims']
        self.num_layers = arch['num_layers']
        self.num_det_tokens = num_det_tokens
        self.with_cp = with_cp
        self.patch_embed = MixedPatchEmbed(patch_size, grid, in_channels, dims, nonlinear_embed)
        self.table_grid = self._cells_of(table_size)
        self.mid_table_grid = self._cells_of(mid_table_size) if mid_table_size else None
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dims))
        self.det_token = nn.Parameter(torch.zeros(1, num_det_tokens, dims))
        self.pos_embed = nn.Parameter(torch.zeros(1, self._num_positions(self.table_grid), dims))
        self.mid_pos_embed = nn.Parameter(torch.zeros(
            self.num_layers - 1, 1, self._num_positions(self.mid_table_grid), dims)) \
            if self.mid_table_grid else None
        self.blocks = build_blocks(arch, drop_path_rate)
        self.norm = vit_norm(dims)
        self.apply(init_vit_weights)
        if torch_embed_init:
            self.patch_embed.start_as_torch()
        for table in (self.cls_token, self.det_token, self.pos_embed, self.mid_pos_embed):
            if table is not None:
                trunc_normal_(table, std=.02)
        if local_start:
            start_local(self.pos_embed, self.det_token, self.blocks, self.table_grid)

    def _cells_of(self, size: Sequence[int]) -> tuple[int, int]:
        patch = self.patch_embed.patch_size
        if len(size) != 2 or min(size) < patch:
            raise ValueError(f'a table of positions needs height and width of at least a patch of '
                             f'{patch} pixels, got {tuple(size)}')
        return size[0] // patch, size[1] // patch

    def _num_positions(self, cells: tuple[int, int]) -> int:
        return 1 + cells[0] * cells[1] + self.num_det_tokens

    def forward(self, x: Tensor, img_shapes: Sequence[tuple[int, int]] | None = None,
                with_patches: bool = False) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Detection tokens of a batch.

        Args:
            x (Tensor): (B, C, H, W), padded right and bottom.
            img_shapes (Sequence[tuple[int, int]], optional): Height and width of every image
                without the padding of the batch, in pixels of ``x``. None: nothing is padding.
            with_patches (bool): Give the tokens of the patches, too.

        Returns:
            Tensor | tuple[Tensor, list[Tensor]]: (B, Q, D), and for each image (h, w, D), its
            patches without the padding.
        """
        x = self.patch_embed(x)
        grids = self._valid_cells(x, img_shapes)
        mask = self._attention_mask(x, grids)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2),
                       self.det_token.expand(len(x), -1, -1)), dim=1)
        x = x + self._positions(self.pos_embed, self.table_grid, grids)[0]
        mid = None if self.mid_pos_embed is None else self._positions(
            self.mid_pos_embed[:, 0], self.mid_table_grid, grids)
        *blocks, last = self.blocks
        for i, block in enumerate(blocks):
            x = self._run(run_block, block, x, mask)
            if mid is not None:
                x = x + mid[i]
        if not with_patches:
            return self.norm(self._run(read_last, last, x, self.num_det_tokens, mask))
        x = self._run(run_block, last, x, mask)
        tokens = self.norm(x[:, -self.num_det_tokens:])
        whole, *cells = grids
        patches = self.norm(x[:, 1:-self.num_det_tokens]).unflatten(1, whole)
        return tokens, [one[:h, :w] for one, (h, w) in zip(patches, cells, strict=True)]

    def _run(self, function: Callable[..., Tensor], block: nn.Module, x: Tensor, *args) -> Tensor:
        """``function(block, x, *args)``, which ``with_cp`` runs again in the backward pass."""
        if self.with_cp and x.requires_grad:
            return checkpoint(function, block, x, *args, use_reentrant=False)
        return function(block, x, *args)

    def _valid_cells(self, x: Tensor, img_shapes: Sequence[tuple[int, int]] | None
                     ) -> list[tuple[int, int]]:
        """Patches per side of each image; the first of the list is that of the whole batch."""
        whole = (x.shape[2], x.shape[3])
        if img_shapes is None:
            return [whole, *[whole] * len(x)]
        cells = [tuple(-(-side // self.token_stride) for side in shape[:2])
                 for shape in img_shapes]
        if len(cells) != len(x) or any(h > whole[0] or w > whole[1] for h, w in cells):
            raise ValueError(f'images of {cells} patches cannot make a batch of {len(x)} with '
                             f'{whole} patches: img_shape of the data samples must be that of '
                             'the images that are fed')
        return [whole, *cells]

    def _attention_mask(self, x: Tensor, grids: list[tuple[int, int]]) -> Tensor | None:
        """(B, 1, 1, 1 + N + Q) bool, False for padding; None where there is none."""
        whole, *cells = grids
        if all(cell == whole for cell in cells):
            return None
        inside = x.new_zeros((len(cells), *whole), dtype=torch.bool)
        for mask, (h, w) in zip(inside, cells, strict=True):
            mask[:h, :w] = True
        inside = functional.pad(inside.flatten(1), (1, self.num_det_tokens), value=True)
        return inside[:, None, None]

    def _positions(self, table: Tensor, cells: tuple[int, int], grids: list[tuple[int, int]]
                   ) -> Tensor:
        """Tables for the images of a batch, each resized to its own image.

        Args:
            table (Tensor): (T, 1 + n + Q, D), T tables of n = ``cells[0] * cells[1]`` patches.
            cells (tuple[int, int]): Rows and columns of the tables.
            grids (list[tuple[int, int]]): As from ``_valid_cells``.

        Returns:
            Tensor: (T, B, 1 + N + Q, D), or (T, 1, ...) if all images have the same size.
        """
        (height, width), *shapes = grids
        first, patches, last = table.split(
            [1, table.shape[1] - 1 - self.num_det_tokens, self.num_det_tokens], dim=1)
        patches = patches.transpose(1, 2).unflatten(2, cells)
        resized = {}
        for h, w in dict.fromkeys(shapes):
            fitted = patches if (h, w) == cells else functional.interpolate(
                patches, (h, w), mode='bicubic', align_corners=False)
            padded = functional.pad(fitted, (0, width - w, 0, height - h))
            resized[h, w] = torch.cat((first, padded.flatten(2).transpose(1, 2), last), dim=1)
        if len(resized) == 1:
            return next(iter(resized.values()))[:, None]
        return torch.stack([resized[shape] for shape in shapes], dim=1)
