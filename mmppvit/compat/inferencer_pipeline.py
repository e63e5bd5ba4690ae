"""``DetInferencer`` on pipelines that begin with ``LoadSealedImage``.

MMDetection 3.3 puts its own loader where a pipeline has ``LoadImageFromFile``, and refuses one
without. A sealed image is read by ``LoadSealedImage``, which checks it; so the inferencer gets a
``LoadImageFromFile`` before that, to replace.
"""
from __future__ import annotations

import copy
from types import ModuleType

__all__ = ['let_it_load_sealed_images']


def let_it_load_sealed_images(module: ModuleType) -> None:
    """Wrap ``DetInferencer._init_pipeline`` of ``mmdet.apis.det_inferencer``; once."""
    stock = module.DetInferencer._init_pipeline
    if hasattr(stock, 'stock'):
        return

    def _init_pipeline(self, cfg):
        steps = cfg.test_dataloader.dataset.pipeline
        if steps and steps[0]['type'] in ('LoadSealedImage', 'mmdet.LoadSealedImage'):
            cfg = copy.deepcopy(cfg)
            cfg.test_dataloader.dataset.pipeline = [dict(type='LoadImageFromFile'), *steps]
        return stock(self, cfg)

    _init_pipeline.stock = stock
    module.DetInferencer._init_pipeline = _init_pipeline
