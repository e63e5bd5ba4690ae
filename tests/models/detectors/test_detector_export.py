"""Detectors in ONNX Runtime give what MMDetection's heads get."""
from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config

from mmppvit.models.checkpoints import write_state_dict
from mmppvit.models.detectors.detector_export import export_detector
from tests.models.tiny_detectors import build, keyed, metainfo, model_config

pytest.importorskip('onnx', reason='onnx is not installed: pip install onnx onnxruntime')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

SIZE = (40, 64)


def _peyolos() -> dict:
    return dict(
        type='PEYOLOS', data_preprocessor=model_config('ATSS').data_preprocessor,
        backbone=dict(type='YOLOSViT', arch=dict(embed_dims=24, num_layers=2, num_heads=2),
                      num_det_tokens=7, table_size=(64, 96)),
        bbox_head=dict(type='YOLOSHead', num_classes=5, embed_dims=24),
        train_cfg=dict(assigner=dict(type='HungarianAssigner', match_costs=[
            dict(type='ClassificationCost', weight=1.)])))


@pytest.mark.parametrize('name', ['ATSS', 'keyed ATSS', 'PEYOLOS'])
def test_runtime_and_detector_agree(tmp_path, name):
    model = _peyolos() if name == 'PEYOLOS' else model_config('ATSS')
    model = keyed(model) if name.startswith('keyed') else model
    detector = build(model)
    state = copy.deepcopy(detector.state_dict())
    names, difference = export_detector(tmp_path / 'detector.onnx', dict(model, _scope_='mmdet'),
                                        state, SIZE)
    assert 0 <= difference < 1e-3
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (*SIZE, 3), np.uint8)
    order = rng.permutation(SIZE[0] * SIZE[1] // 64)
    inputs = dict(image=image) | (dict(patch_order=order) if name.startswith('keyed') else {})
    session = onnxruntime.InferenceSession(str(tmp_path / 'detector.onnx'))
    found = dict(zip(names, session.run(None, inputs), strict=True))
    # As a data loader and test_step do it.
    sample = DetDataSample(metainfo=metainfo(image, order))
    data = detector.data_preprocessor(dict(
        inputs=[torch.from_numpy(image.transpose(2, 0, 1).copy())], data_samples=[sample]), False)
    with torch.no_grad():
        expected = detector(**data, mode='tensor')
    if name == 'PEYOLOS':
        assert names == ['logits', 'boxes']
        expected = [value[0] for value in expected]
    else:
        assert names[:2] == ['cls_score_0', 'cls_score_1']
        assert 'bbox_pred_0' in names
        expected = [level for kind in expected for level in kind]
    for one, other in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(one), other, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_exported(tmp_path):
    model = dict(model_config('ATSS'), _scope_='mmdet')
    state = build(model).state_dict()
    with pytest.raises(ValueError, match='no whole patches of 8 pixels'):
        export_detector(tmp_path / 'x.onnx', model, state, (41, 64))
    with pytest.raises(ValueError, match='does not fit'):
        export_detector(tmp_path / 'x.onnx', model, {}, SIZE)
    with pytest.raises(ValueError, match='FasterRCNN is not a one-stage detector'):
        export_detector(tmp_path / 'x.onnx', dict(model_config('FasterRCNN'), _scope_='mmdet'), {},
                        SIZE)
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path, run_python, configs):
    config = configs / 'demo/atss_pevit_mix_shapes.py'
    model = Config.fromfile(str(config)).model
    write_state_dict(tmp_path / 'weights.safetensors', build(model).state_dict())
    done = run_python('-m', 'mmppvit', 'export', str(config), str(tmp_path / 'detector.onnx'),
                      '--checkpoint', str(tmp_path / 'weights.safetensors'), '--height', '32',
                      '--width', '48')
    assert done.returncode == 0, done.stderr
    assert 'bbox_pred_0' in done.stdout
    session = onnxruntime.InferenceSession(str(tmp_path / 'detector.onnx'))
    assert session.get_inputs()[0].shape == [32, 48, 3]
    refused = run_python('-m', 'mmppvit', 'export', str(config), 'x.onnx', '--checkpoint', 'none')
    assert refused.returncode == 2
    assert 'needs --height and --width' in refused.stderr
