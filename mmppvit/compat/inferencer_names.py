"""``DetInferencer`` on images of one name in several folders, or of one stem and two suffixes.

MMDetection 3.3 names what it writes by the stem of an image, so ``x/1.jpg`` and ``y/1.jpg`` end in
one file. Here the first keeps the name, and the next becomes ``1-2``.
"""
from __future__ import annotations

import copy
import logging
import os.path as osp
from types import ModuleType

__all__ = ['let_it_keep_names_apart']


def let_it_keep_names_apart(module: ModuleType) -> None:
    """Wrap two methods of ``DetInferencer`` of ``mmdet.apis.det_inferencer``; once."""
    cls = module.DetInferencer
    stock_dict, stock_draw = cls.pred2dict, cls.visualize
    if hasattr(stock_dict, 'stock'):
        return

    def pred2dict(self, data_sample, pred_out_dir=''):
        if pred_out_dir and data_sample.get('img_path'):
            name = _free_name(self, pred_out_dir, data_sample.img_path)
            data_sample = copy.copy(data_sample)
            data_sample.set_metainfo(dict(img_path=name))
        return stock_dict(self, data_sample, pred_out_dir)

    def visualize(self, inputs, preds, *args, img_out_dir='', **kwargs):
        if not img_out_dir or self.visualizer is None:
            return stock_draw(self, inputs, preds, *args, img_out_dir=img_out_dir, **kwargs)
        drawn, visualizer = [], self.visualizer
        try:
            for single, pred in zip(inputs, preds, strict=True):
                if isinstance(single, str):
                    self.visualizer = _Renaming(visualizer, _free_name(self, img_out_dir, single))
                drawn += stock_draw(self, [single], [pred], *args, img_out_dir=img_out_dir,
                                    **kwargs) or []
                self.visualizer = visualizer
        finally:
            self.visualizer = visualizer
        return drawn or None

    pred2dict.stock, visualize.stock = stock_dict, stock_draw
    cls.pred2dict, cls.visualize = pred2dict, visualize


class _Renaming:
    """A visualizer that draws into a file of another name in the same folder."""

    def __init__(self, visualizer, name: str) -> None:
        self._visualizer, self._name = visualizer, name

    def __getattr__(self, name: str):
        return getattr(self._visualizer, name)

    def add_datasample(self, _, *args, out_file: str | None = None, **kwargs) -> None:
        out_file = out_file and osp.join(osp.dirname(out_file), self._name)
        self._visualizer.add_datasample(self._name, *args, out_file=out_file, **kwargs)


def _free_name(inferencer, out_dir: str, path: str) -> str:
    """The base name of ``path``, with a number if the stem is another image's in ``out_dir``."""
    from mmengine.logging import print_log
    if not hasattr(inferencer, '_names_taken'):
        inferencer._names_taken = {}
    taken = inferencer._names_taken.setdefault(out_dir, {})
    first, suffix = osp.splitext(osp.basename(path))
    stem, count = first, 1
    while taken.setdefault(stem.lower(), path) != path:
        count += 1
        stem = f'{first}-{count}'
    if stem != first and (out_dir, path) not in taken:
        taken[out_dir, path] = path
        print_log(f'{taken[first.lower()]} and {path} have one name: the results of the latter are '
                  f'{stem}', logger='current', level=logging.WARNING)
    return stem + suffix
