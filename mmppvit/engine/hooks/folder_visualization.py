"""Drawn predictions in the folders of their images."""
from __future__ import annotations

import os.path as osp
from collections.abc import Sequence

from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample

from mmppvit.utils.leaf_datasets import leaf_datasets

__all__ = ['FolderVisualizationHook']


@HOOKS.register_module()
class FolderVisualizationHook(DetVisualizationHook):
    """``DetVisualizationHook`` that keeps sub-folders below ``test_out_dir``.

    MMDetection's writes by the file's name alone, so that ``a/1.jpg`` replaces ``b/1.jpg``.
    Arguments are those of :class:`mmdet.engine.hooks.DetVisualizationHook`.
    """

    def after_test_iter(self, runner, batch_idx: int, data_batch: dict,
                        outputs: Sequence[DetDataSample]) -> None:
        """Draw each image; those of a data set's sub-folder go into one of that name."""
        folder = self.test_out_dir
        if folder is None or not self.draw:
            super().after_test_iter(runner, batch_idx, data_batch, outputs)
            return
        roots = _image_folders(runner.test_dataloader.dataset)
        folder = osp.abspath(osp.join(runner.work_dir, runner.timestamp, folder))
        try:
            for sample in outputs:
                self.test_out_dir = osp.join(folder, _below(osp.dirname(sample.img_path), roots))
                super().after_test_iter(runner, batch_idx, data_batch, [sample])
        finally:
            self.test_out_dir = folder


def _image_folders(dataset: object) -> list[str]:
    return [prefix for leaf in leaf_datasets(dataset)
            if (prefix := getattr(leaf.dataset, 'data_prefix', {}).get('img'))]


def _below(folder: str, roots: Sequence[str]) -> str:
    """``folder`` relative to the first root that it lies in; '' if it lies in none."""
    for root in roots:
        relative = osp.relpath(folder, root)
        if not relative.startswith('..'):
            return '' if relative == '.' else relative
    return ''
