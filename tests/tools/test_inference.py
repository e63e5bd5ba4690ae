"""MMDetection's inference APIs on our checkpoints: a plain file goes in."""
from __future__ import annotations

import json
import shutil

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


@pytest.fixture
def inferencer(configs, coco_mini, tmp_path) -> DetInferencer:
    """Without trained weights."""
    config = shrink(configs / 'coco/atss_pevit-tiny_mix_coco.py', tmp_path, coco_mini)
    return DetInferencer(str(config), device='cpu', show_progress=False)


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


def test_images_of_one_name_are_written_apart(inferencer, coco_mini, tmp_path):
    names = ['x/1.jpg', 'y/1.jpg', 'y/1.jpeg', 'z/1.jpg', 'z/2.jpg', 'x/1.jpg']
    for name, path in zip(names[:5], sorted((coco_mini / 'val2017').iterdir()), strict=False):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / name)
    out = tmp_path / 'out'
    results = inferencer([str(tmp_path / name) for name in names], batch_size=2, out_dir=str(out),
                         no_save_pred=False, pred_score_thr=0.)['predictions']
    written = ['1', '1-2', '1-3', '1-4', '2', '1']
    assert {path.name for path in (out / 'preds').iterdir()} == {f'{name}.json' for name in written}
    assert {path.name for path in (out / 'vis').iterdir()} == {
        '1.jpg', '1-2.jpg', '1-3.jpeg', '1-4.jpg', '2.jpg'}
    for name, result in dict(zip(written, results, strict=True)).items():  # the last of one image
        assert json.loads((out / f'preds/{name}.json').read_text()) == result
    again = inferencer(str(tmp_path / 'z/1.jpg'), out_dir=str(tmp_path / 'again'),
                       no_save_pred=False)
    assert len(again['predictions']) == 1
    assert [path.name for path in (tmp_path / 'again/preds').iterdir()] == ['1.json']
