"""MMDetection's inference APIs on our checkpoints: a plain file goes in."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.config import Config

from tests.tools.conftest import shrink


@pytest.fixture
def checkpoint(configs, coco_mini, tmp_path, run_tool):
    config = shrink(configs / 'coco/atss_pevit-tiny_mix_coco.py', tmp_path, coco_mini)
    run_tool('train.py', config, '--work-dir', tmp_path / 'work')
    return config, tmp_path / 'work/epoch_1.pth'


def test_inference(checkpoint, coco_mini, tmp_path):
    """Both APIs, from files and arrays, give the same boxes, in the frame of the plain file."""
    config, weights = checkpoint
    path = str(min((coco_mini / 'val2017').iterdir()))
    model = init_detector(str(config), str(weights), device='cpu')
    sample = inference_detector(model, path)
    height, width = sample.ori_shape
    assert sample.batch_input_shape[0] < height / 2  # what the model saw was mixed
    boxes = sample.pred_instances.bboxes
    assert len(boxes)
    assert boxes[:, 2].max() > .75 * width

    import mmcv
    again = inference_detector(model, mmcv.imread(path)).pred_instances
    assert torch.equal(again.bboxes, boxes)

    inferencer = DetInferencer(str(config), str(weights), device='cpu')
    result = inferencer(path, out_dir=str(tmp_path / 'out'), pred_score_thr=0., no_save_pred=False)
    predicted = np.array(result['predictions'][0]['bboxes'])
    np.testing.assert_allclose(predicted, boxes.numpy(), atol=1e-3)
    assert list((tmp_path / 'out/vis').iterdir())


def test_dataset_meta_names_the_classes(checkpoint):
    model = init_detector(*map(str, checkpoint), device='cpu')
    assert model.dataset_meta['classes'][:2] == ('person', 'bicycle')
    assert Config.fromfile(str(checkpoint[0])).model.bbox_head.num_classes == 80
