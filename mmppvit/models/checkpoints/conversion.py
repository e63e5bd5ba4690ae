"""From a checkpoint's file to one of another layout."""
from __future__ import annotations

import os
from collections.abc import Callable

from mmppvit.models.checkpoints.fitting import reject_problems
from mmppvit.models.checkpoints.load_report import LoadReport
from mmppvit.models.checkpoints.tensor_files import read_state_dict, write_state_dict
from mmppvit.models.checkpoints.to_pevit import to_pevit
from mmppvit.models.checkpoints.to_peyolos import TableSizes, to_peyolos

__all__ = ['convert_file']


def convert_file(src: str, dst: str, source: str, target: str, *, force: bool = False,
                 allow_partial: bool = False, sizes: TableSizes | None = None,
                 det_tokens: int | None = None, classes: str | None = None,
                 weights: str | None = None, new_embed: bool = False,
                 drop_mid_table: bool = False, class_token: bool = False,
                 show: Callable[[LoadReport], None] = lambda report: None, **common
                 ) -> tuple[int, LoadReport]:
    """Convert ``src``, and write it to ``dst``.

    Args:
        src (str): ``.safetensors``, or ``.pth`` that needs no pickle.
        dst (str): ``.safetensors`` or ``.pth``.
        source (str): Layout of ``src``.
        target (str): 'pevit' or 'peyolos'.
        force (bool): Replace ``dst``.
        allow_partial (bool): Write what fits, though tensors are missing or unexpected.
        sizes (TableSizes, optional): Of a PEYOLOS' tables of positions.
        det_tokens (int, optional): Of a PEYOLOS.
        classes (str, optional): Of a PEYOLOS, 'coco80' or 'keep'.
        new_embed (bool): Of a PEYOLOS, leave the embedding at its initialization.
        drop_mid_table (bool): Of a PEYOLOS, leave out the tables between blocks.
        class_token (bool): Of a PEViT, with the class token.
        weights (str, optional): Of several sets of weights in ``src`` the one to take.
        show (Callable): Gets the report before a misfit is refused.
        common: ``arch``, ``patch_size``, ``grid``, ``nonlinear_embed`` and ``kernel``.

    Returns:
        tuple[int, LoadReport]: Number of tensors written, and what became of every one.

    Raises:
        FileNotFoundError: There is no ``src``.
        FileExistsError: There is a ``dst``.
        ValueError: ``src`` does not make a whole ``target``.
    """
    _check_files(src, dst, force)
    state = read_state_dict(src, weights)
    if target == 'pevit':
        if new_embed or drop_mid_table:
            raise ValueError('--new-embed and --drop-mid-table are for --target peyolos')
        converted, report = to_pevit(state, source, class_token=class_token, **common)
    else:
        if class_token:
            raise ValueError('--class-token is for --target pevit: a PEYOLOS always has one')
        converted, report = to_peyolos(
            state, source, **common, sizes=sizes or TableSizes(), num_det_tokens=det_tokens,
            classes=classes, new_embed=new_embed, drop_mid_table=drop_mid_table)
    show(report)
    if not allow_partial:
        reject_problems(report, f'{src} does not make a whole {target}',
                        'Give the --arch it was made for, or --allow-partial')
    write_state_dict(dst, converted)
    return len(converted), report


def _check_files(src: str, dst: str, force: bool) -> None:
    """Raise before any work is done for what would fail at its end."""
    if not os.path.isfile(src):
        raise FileNotFoundError(f'no checkpoint {src}')
    if not dst.endswith(('.safetensors', '.pth')):
        raise ValueError(f'{dst} has to end in .safetensors or .pth')
    if os.path.exists(dst):
        if os.path.samefile(src, dst):
            raise ValueError('SRC and DST are the same file')
        if not force:
            raise FileExistsError(f'{dst} exists; choose another name, or --force')
