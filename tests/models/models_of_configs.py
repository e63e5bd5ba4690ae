"""A small one of every kind of model of the configs, and what to give it."""
from __future__ import annotations

import copy
import tempfile

import numpy as np
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

__all__ = ['MODELS_OF_CONFIGS', 'check_mixed_precision', 'data_of', 'numbers_of', 'step']

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


def data_of(name: str) -> dict:
    if name.endswith('Classifier'):
        return dict(inputs=torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8),
                    label=torch.arange(4) % 3)
    data = batch(images(), orders() if name == 'KeyedOrder' else None)
    for sample, img in zip(data['data_samples'], data['inputs'], strict=True):
        size = img.shape[1:]
        sample.gt_instances.masks = BitmapMasks(np.ones((2, *size), np.uint8), *size)
    return data


def step(model: nn.Module, data: dict, device: torch.device) -> tuple[dict, object]:
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


def numbers_of(found) -> list[torch.Tensor]:
    return [value.to('cpu') for sample in found for value in (
        [sample] if isinstance(sample, torch.Tensor) else
        sample.pred_instances.values() if hasattr(sample, 'pred_instances') else [])
        if isinstance(value, torch.Tensor)]


def check_mixed_precision(name: str, device: str, dtype: torch.dtype) -> None:
    """Losses, gradients and results are finite, and gradients of float32, as optimizers need."""
    torch.manual_seed(3)
    model, data = MODELS_OF_CONFIGS[name]().to(device), data_of(name)
    with torch.autocast(device, dtype):
        data = model.data_preprocessor(data, training=True)
        losses = {key: value for key, value in model(**data, mode='loss').items() if 'loss' in key}
        parts = [part for value in losses.values() for part in (
            value if isinstance(value, (list, tuple)) else [value])]
        with torch.no_grad():
            found = numbers_of(model.eval()(**data, mode='predict'))
    sum(part.sum() for part in parts).backward()
    grads = [param.grad for param in model.parameters() if param.grad is not None]
    assert {grad.dtype for grad in grads} == {torch.float32}
    assert all(value.isfinite().all() for value in (*parts, *grads, *found))
