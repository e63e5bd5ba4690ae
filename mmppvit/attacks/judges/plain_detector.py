"""A detector of plain images, as the report's judge: read whole, and without pickle."""
from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.apis import init_detector
from mmdet.registry import DATASETS
from mmengine.config import Config
from torch import nn

from mmppvit.compat.stock_checkpoint import load_mmengine_checkpoint
from mmppvit.models.checkpoints import load_whole
from mmppvit.utils.config_files import load_config

__all__ = ['describe_detector', 'load_detector']


def load_detector(config: str | Path, checkpoint: str | Path | None, device: str = 'cpu'
                  ) -> nn.Module:
    """A detector of MMDetection that was trained on plain images.

    Checkpoints are read as weights only under every version of torch; those of
    ``tools/train.py``, of stock MMEngine (torch >= 2.5) and bare state dicts fit.

    Args:
        config (str | Path): Its config.
        checkpoint (str | Path, optional): Its weights; None leaves them at random.
        device (str): Where it runs.

    Returns:
        nn.Module: In evaluation mode, with ``dataset_meta['classes']``: of the checkpoint, else of
        the config's test set.

    Raises:
        OSError: A file is missing.
        ValueError: The checkpoint does not fit the config, in one tensor or all.
        RuntimeError: It holds more than weights and numbers.
    """
    cfg = load_config(str(config))
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint}')
    with warnings.catch_warnings(record=True):  # that there are no weights: they come below
        # Without a palette it would build the config's test set, whose files may be elsewhere.
        detector = init_detector(cfg, None, palette='random', device=device)
    saved = {} if checkpoint is None else _read(str(checkpoint))
    if checkpoint is not None:
        # A part of the weights would give an AP that means nothing.
        load_whole(detector, saved.get('state_dict', saved), str(checkpoint))
    detector.dataset_meta['classes'] = _classes(saved, cfg)
    return detector


def _read(path: str) -> dict:
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, EOFError):
        return load_mmengine_checkpoint(path)


def _classes(saved: dict, cfg: Config) -> tuple[str, ...]:
    meta = saved.get('meta', {}).get('dataset_meta', {})
    known = {key.lower(): value for key, value in meta.items()}.get('classes')
    if known is None:
        known = DATASETS.build({**cfg.test_dataloader.dataset, 'lazy_init': True}
                               ).metainfo['classes']
    return (known, ) if isinstance(known, str) else tuple(known)


def describe_detector(config: str | Path, checkpoint: str | Path, ann_files: Sequence[str | Path]
                      ) -> dict[str, str]:
    """Names of the files, without their folders, and what tells the weights from others."""
    digest = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
    return dict(config=Path(config).name, checkpoint=Path(checkpoint).name, sha256=digest,
                annotations=', '.join(Path(file).name for file in ann_files))
