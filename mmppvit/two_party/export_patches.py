"""Images of a config for the host, given beforehand: no names, places or shapes."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

from mmppvit.two_party.patch_store import write_store
from mmppvit.utils.config_files import load_config

__all__ = ['export_patches', 'without_motions']


def export_patches(config: str, out: Path, splits: Sequence[str],
                   cfg_options: Iterable[str] = ()) -> int:
    """Write every image that a config feeds its detector for the host; returns how many.

    The file has patches in the order of their bytes and numbers for images: no names, no
    places, no shapes, no boxes. Random flips and turns are left out, as the host can do them.

    Args:
        config (str): With a ``RemotePEViT``, or another backbone with ``patch_size`` and ``grid``.
        out (Path): ``.safetensors`` to write.
        splits (Sequence[str]): 'train', 'val', 'test'.
        cfg_options (Iterable[str]): 'KEY=VALUE' each.
    """
    cfg = load_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    backbone, preprocessor = cfg.model.backbone, cfg.model.data_preprocessor
    side = backbone.get('patch_size', 16) // backbone.get('grid', 2)
    swap = bool(preprocessor.get('bgr_to_rgb') or preprocessor.get('rgb_to_bgr'))
    images: list[np.ndarray] = []
    for split in splits:
        dataset = DATASETS.build(without_motions(cfg[f'{split}_dataloader'].dataset))
        for i in range(len(dataset)):
            image = dataset[i]['inputs'].numpy().transpose(1, 2, 0)
            images.append(image[..., ::-1] if swap else image)
    write_store(out, images, side)
    return len(images)


def without_motions(node):
    """A copy of a data set's config whose pipelines have no random flips and turns."""
    if isinstance(node, dict):
        return {key: [without_motions(step) for step in value
                      if step['type'] not in ('RandomFlip', 'RandomRotate90')]
                if key == 'pipeline' else without_motions(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(without_motions(x) for x in node)
    return node
