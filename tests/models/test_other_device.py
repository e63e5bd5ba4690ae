"""Every kind of model of the configs makes its tensors where its input is, and trains in AMP."""
from __future__ import annotations

import copy
import tempfile

import numpy as np
import pytest
import timm
import torch
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from torch import nn

from mmppvit.models import ProtectedDetector
from mmppvit.models.checkpoints import write_state_dict
from mmppvit.models.classifiers.protected_classifier import ProtectedClassifier
from tests.models.detectors.test_peyolos import build_released
from tests.models.other_device import OTHER, MixedDevicesError, other_device
from tests.models.tiny_detectors import (
    CONFIGS,
    FILES,
    batch,
    build,
    images,
    keyed,
    model_config,
    orders,
)

if tuple(map(int, torch.__version__.split('.')[:2])) < (2, 13):
    pytest.skip('what the second device takes from PyTorch is of 2.13', allow_module_level=True)

PROTECTION = dict(protector=dict(type='ProtectionUNet', arch=(4, 8)),
                  perceptual=dict(type='RandomFeatureDistance', channels=(4, 4)))


def _few(model: dict) -> dict:
    """With few boxes, which take most of the time."""
    for part in (model.test_cfg, model.test_cfg.get('rpn', {})):
        if 'nms_pre' in part:
            part.update(nms_pre=30, max_per_img=10)
    return model


def _retinanet() -> nn.Module:
    model = Config.fromfile(str(CONFIGS / 'retinanet_pevit-small_mix_coco.py')).model
    model.backbone.arch = dict(embed_dims=24, num_layers=2, num_heads=2)
    model.neck.update(in_channels=24)
    model.bbox_head.update(stacked_convs=1)
    model.test_cfg.score_thr = 0.
    return build(_few(model))


def _classifier(name: str, **kwargs) -> nn.Module:
    return MODELS.build(dict(type='TimmClassifier', name=name,
                             kwargs=dict(num_classes=3, **kwargs))).eval()


def _protected_classifier() -> nn.Module:
    torch.manual_seed(0)
    classifier = dict(type='TimmClassifier', name='resnet20_cifar', kwargs=dict(num_classes=3))
    with tempfile.TemporaryDirectory() as folder:
        weights = f'{folder}/classifier.safetensors'
        write_state_dict(weights, timm.create_model('resnet20_cifar', num_classes=3).state_dict())
        return ProtectedClassifier(classifier, checkpoint=weights, **PROTECTION)


def _protected_detector() -> nn.Module:
    torch.manual_seed(0)
    return ProtectedDetector(_few(model_config('ATSS')), **PROTECTION)


MODELS_OF_CONFIGS = {  # Mask R-CNN has all of Faster R-CNN
    **{name: lambda name=name: build(_few(model_config(name)))
       for name in FILES if name != 'FasterRCNN'},
    'KeyedOrder': lambda: build(keyed(_few(model_config('ATSS')))),
    'RetinaNet': _retinanet,
    'PEYOLOS': lambda: build_released(2),
    'ProtectedDetector': _protected_detector,
    'TimmClassifier': lambda: _classifier('resnet20_cifar'),
    'ProtectedClassifier': _protected_classifier,
}


def _data(name: str) -> dict:
    if name.endswith('Classifier'):
        return dict(inputs=torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8),
                    label=torch.arange(4) % 3)
    data = batch(images(), orders() if name == 'KeyedOrder' else None)
    for sample, img in zip(data['data_samples'], data['inputs'], strict=True):
        size = img.shape[1:]
        sample.gt_instances.masks = BitmapMasks(np.ones((2, *size), np.uint8), *size)
    return data


def _step(model: nn.Module, data: dict, device: torch.device) -> tuple[dict, object]:
    """Losses and gradients of a training step, then predictions."""
    torch.manual_seed(0)
    data = model.data_preprocessor(copy.deepcopy(data), training=True)
    losses, total = {}, 0.
    for key, value in model(**data, mode='loss').items():
        if 'loss' in key:
            for part in value if isinstance(value, (list, tuple)) else [value]:
                total = total + part.sum()
        losses[key] = value
    total.backward()
    grads = [param.grad for param in model.parameters() if param.grad is not None]
    assert grads
    assert {grad.device for grad in grads} == {device}
    with torch.no_grad():
        model.eval()
        return float(total), model(**data, mode='predict')


def _numbers(found) -> list[torch.Tensor]:
    return [value.to('cpu') for sample in found for value in (
        [sample] if isinstance(sample, torch.Tensor) else
        sample.pred_instances.values() if hasattr(sample, 'pred_instances') else [])
        if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize('name', MODELS_OF_CONFIGS)
def test_nothing_is_made_on_another_device(name):
    """And so the numbers are the same as well."""
    torch.manual_seed(3)
    model, data = MODELS_OF_CONFIGS[name](), _data(name)
    other = copy.deepcopy(model)
    total, found = _step(model, data, torch.device('cpu'))
    with other_device():
        other.to(OTHER)
        its_total, its_found = _step(other, data, OTHER)
        its_found = _numbers(its_found)
    assert its_total == pytest.approx(total, rel=1e-5)
    for one, its in zip(_numbers(found), its_found, strict=True):
        if one.dtype == torch.bool:  # MMDetection pastes masks in another way off the CPU
            assert (one == its).float().mean() > .9
        else:
            torch.testing.assert_close(its, one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('name', 'dtype'), [
    *((name, torch.bfloat16) for name in (
        'ATSS', 'DETR', 'PEYOLOS', 'TimmClassifier', 'ProtectedClassifier')),
    ('PEYOLOS', torch.float16), ('TimmClassifier', torch.float16)], ids=str)
def test_autocast(name, dtype):
    """Losses, gradients and results are finite, and gradients of float32, as optimizers need."""
    torch.manual_seed(3)
    model, data = MODELS_OF_CONFIGS[name](), _data(name)
    with torch.autocast('cpu', dtype):
        data = model.data_preprocessor(data, training=True)
        losses = {key: value for key, value in model(**data, mode='loss').items() if 'loss' in key}
        parts = [part for value in losses.values() for part in (
            value if isinstance(value, (list, tuple)) else [value])]
        with torch.no_grad():
            found = _numbers(model.eval()(**data, mode='predict'))
    sum(part.sum() for part in parts).backward()
    grads = [param.grad for param in model.parameters() if param.grad is not None]
    assert {grad.dtype for grad in grads} == {torch.float32}
    assert all(value.isfinite().all() for value in (*parts, *grads, *found))


def test_the_other_device_refuses_to_mix():
    with other_device():
        there = torch.ones(3).to(OTHER)
        assert (there + torch.tensor(2.)).device == OTHER
        assert there[torch.tensor([0, 2])].tolist() == [1, 1]
        assert torch.tensor([1, 2], device=OTHER).device == there.new_zeros(1).device == OTHER
        for mixed in (lambda: there + torch.ones(3), lambda: torch.cat([there, torch.ones(1)]),
                      lambda: torch.where(torch.ones(3, dtype=torch.bool), there, there),
                      lambda: torch.ones(3)[there.long()], lambda: there.mul_(torch.ones(3))):
            with pytest.raises(MixedDevicesError):
                mixed()
        there.requires_grad_()
        (there * 2).sum().backward()
        assert there.grad.device == OTHER
