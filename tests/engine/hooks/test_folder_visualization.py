"""Images of one name in two folders are drawn into two files."""
from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample

from mmppvit.engine import FolderVisualizationHook


def test_sub_folders_are_kept(tmp_path):
    names = ['x/1.png', 'y/1.png', '1.png']
    samples = []
    for name in names:
        (tmp_path / 'images' / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / 'images' / name), np.zeros((8, 8, 3), np.uint8))
        samples.append(DetDataSample(metainfo=dict(img_path=str(tmp_path / 'images' / name))))
    VISUALIZERS.build(dict(type='DetLocalVisualizer', name='drawn', save_dir=str(tmp_path)))
    hook = FolderVisualizationHook(draw=True, test_out_dir='shown')
    hook._visualizer = SimpleNamespace(add_datasample=lambda *_, out_file, **__: written.append(
        out_file))
    written: list[str] = []
    dataset = SimpleNamespace(data_prefix=dict(img=str(tmp_path / 'images')))
    runner = SimpleNamespace(work_dir=str(tmp_path), timestamp='now',
                             test_dataloader=SimpleNamespace(dataset=dataset))
    for _ in range(2):  # the folder does not grow from batch to batch
        hook.after_test_iter(runner, 0, {}, samples)
    assert written == 2 * [str(tmp_path / 'now/shown' / name) for name in names]
