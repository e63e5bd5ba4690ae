"""Running the command-line tools as a user would, but without paying for imports each time."""
from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.visualization import Visualizer

from mmppvit.visualization.sealed_visualizer import SealedDetLocalVisualizer

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


@pytest.fixture
def run_tool(monkeypatch, tmp_path):
    """``run_tool('train.py', CONFIG, '--amp')`` runs it in this process, in an empty folder.

    Raises SystemExit with its exit code where that is not 0.
    """

    def run(name: str, *args: object) -> None:
        monkeypatch.setattr(sys, 'argv', [str(TOOLS / name), *map(str, args)])
        monkeypatch.chdir(tmp_path)
        _forget_run()
        try:
            runpy.run_path(str(TOOLS / name), run_name='__main__')
        except SystemExit as err:
            if err.code:
                raise
        finally:
            _forget_run()

    return run


@pytest.fixture
def tool(run_tool, capfd):
    """``tool('attack.py', ...)`` gives exit status, stdout and stderr."""

    def run(name: str, *args: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = 0
        try:
            run_tool(name, *args)
        except SystemExit as err:
            code = err.code
        return code, *capfd.readouterr()

    return run


def _forget_run() -> None:
    """A second run in the same process would log into folder and streams of the first."""
    for kind in (Visualizer, DetLocalVisualizer, SealedDetLocalVisualizer, MMLogger):
        kind._instance_dict.clear()


SMALL = dict(scale=(192, 128), scales=[(192, 128)], crop_size=(96, 128))


def shrink(config: Path, out: Path, data_root: Path, **options) -> Path:
    """A config of the repository, made small: 3 iterations of 2 images, a tiny PEViT, no workers.

    Args:
        config (Path): The config.
        out (Path): Folder for the small one.
        data_root (Path): Folder of the data set.
        options: Further overrides, dots written as two underscores.
    """
    cfg = Config.fromfile(str(config))
    cfg.custom_data_root = str(data_root)
    cfg.merge_from_dict(dict(
        model=dict(
            backbone=dict(arch=dict(embed_dims=32, num_layers=2, num_heads=2, _delete_=True)),
            **(dict(neck=dict(in_channels=32)) if 'neck' in cfg.model
               else dict(bbox_head=dict(embed_dims=32)))),
        train_cfg=dict(max_epochs=1, val_interval=1),
        default_hooks=dict(logger=dict(interval=1))))
    for key, count in (('train_dataloader', 6), ('val_dataloader', 3), ('test_dataloader', 3)):
        loader = cfg[key]
        loader.update(num_workers=0, persistent_workers=False)
        for dataset in loader.dataset.get('datasets', [loader.dataset]):
            dataset.indices = count
            _shrink_scales(dataset.pipeline)
    cfg.train_dataloader.batch_size = 2
    if 'rpn' in cfg.model.test_cfg:
        cfg.model.train_cfg.rpn_proposal.max_per_img = cfg.model.test_cfg.rpn.max_per_img = 50
    if 'stacked_convs' in cfg.model.get('bbox_head', {}):
        cfg.model.bbox_head.update(stacked_convs=1, feat_channels=64)
    if 'roi_head' in cfg.model:
        cfg.model.roi_head.bbox_head.fc_out_channels = 32
        cfg.model.train_cfg.rcnn.sampler.num = 16
        cfg.model.test_cfg.rcnn.max_per_img = 5
    if 'mask_head' in cfg.model.get('roi_head', {}):
        cfg.model.roi_head.mask_head.update(num_convs=1, conv_out_channels=16)
    for thresholds in (cfg.model.test_cfg, cfg.model.test_cfg.get('rcnn', {})):
        if 'score_thr' in thresholds:
            thresholds.score_thr = 0.  # after three iterations nothing is sure of itself
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    path = out / config.name
    cfg.dump(str(path))
    return path


def _shrink_scales(steps: list) -> None:
    for step in steps:
        if isinstance(step, list):
            _shrink_scales(step)
            continue
        step.update({key: small for key, small in SMALL.items() if key in step})
        _shrink_scales(step.get('transforms', []))
