"""A trained detector's checkpoint, divided into two files."""
from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pickle import UnpicklingError

import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmppvit.models.checkpoints import read_state_dict
from mmppvit.two_party.split import split_detector, write_part
from mmppvit.utils.config_files import load_config

__all__ = ['split_checkpoint']


def split_checkpoint(config: str, checkpoint: str, backbone_out: str, head_out: str, *,
                     force: bool = False, cfg_options: Iterable[str] = ()
                     ) -> dict[str, tuple[int, int]]:
    """Divide a detector into the backbone for a host and the rest for the key holder.

    Args:
        config (str): Config file, or the name of a packaged one.
        checkpoint (str): .pth or .safetensors.
        backbone_out (str): .safetensors file to write.
        head_out (str): The same.
        force (bool): Replace files that exist.
        cfg_options (Iterable[str]): 'KEY=VALUE' each.

    Returns:
        dict[str, tuple[int, int]]: Number of tensors and of their values, by file.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        FileExistsError: An output is there.
        ValueError: The detector cannot be divided.
    """
    _check_files(checkpoint, backbone_out, head_out, force)
    cfg = load_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    state = read_state_dict(checkpoint)
    try:
        parts = split_detector(cfg.model, state, _dataset_meta(cfg, checkpoint))
    except TypeError as err:  # a backbone or data preprocessor that cannot be split off
        raise ValueError(f'{config}: {err}') from err
    written = {}
    for path, kind, (tensors, info) in zip((backbone_out, head_out), ('backbone', 'head'), parts,
                                           strict=True):
        write_part(path, kind, tensors, info)
        written[path] = len(tensors), sum(x.numel() for x in tensors.values())
    return written


def _check_files(checkpoint: str, backbone_out: str, head_out: str, force: bool) -> None:
    """Raise before any work is done for what would fail at its end."""
    if not os.path.isfile(checkpoint):
        raise FileNotFoundError(f'no checkpoint {checkpoint}')
    outs = [backbone_out, head_out]
    if os.path.abspath(outs[0]) == os.path.abspath(outs[1]):
        raise ValueError('--backbone-out and --head-out are the same file')
    for path in outs:
        if not path.endswith('.safetensors'):
            raise ValueError(f'{path} has to end in .safetensors')
        if os.path.exists(path) and not force:
            raise FileExistsError(f'{path} exists; choose another name, or --force')


def _dataset_meta(cfg: Config, checkpoint: str) -> dict:
    """Classes and palette: the checkpoint's, else those of the config's test set."""
    meta = None
    if not checkpoint.endswith('.safetensors'):
        # What read_state_dict takes beside weights comes from other programs, without our meta.
        with suppress(UnpicklingError):
            content = torch.load(checkpoint, map_location='cpu', weights_only=True)
            meta = (content.get('meta') or {}).get('dataset_meta')
    if not meta or 'classes' not in meta:
        dataset = cfg.test_dataloader.dataset
        while 'dataset' in dataset or 'datasets' in dataset:
            dataset = dataset.get('dataset') or dataset['datasets'][0]
        meta = DATASETS.get(dataset.type)._load_metainfo(dataset.get('metainfo'))
    return {key: meta[key] for key in ('classes', 'palette') if key in meta}
