"""Backbones from the other party are data: nothing outside of an allow-list is built."""
from __future__ import annotations

import pytest
import torch
from mmdet.models import DetDataPreprocessor

from mmppvit.models.backbones import PEViT
from mmppvit.two_party.messages import ProtocolError
from mmppvit.two_party.part_schema import (
    build_backbone,
    build_preprocessor,
    check_dataset_meta,
)

ARCH = dict(embed_dims=8, num_layers=1, num_heads=2)
RUNS = [{'type': 'os.system', 'command': 'true'}]


def test_what_may_be_built():
    backbone = build_backbone(dict(arch=ARCH, patch_size=16, grid=2, out_indices=[0]))
    assert isinstance(backbone, PEViT)
    found = build_preprocessor(dict(mean=[1, 2, 3.], std=(1, 1, 1), bgr_to_rgb=True,
                                    pad_size_divisor=8, pad_value=0))
    assert isinstance(found, DetDataPreprocessor)


@pytest.mark.parametrize('spec', [
    None, [], dict(arch=ARCH, init_cfg=dict(type='Pretrained', checkpoint='x')),
    dict(arch=ARCH, type='os.system'), dict(arch=dict(ARCH, type='x')), dict(arch='huge'),
    dict(arch=dict(ARCH, embed_dims=10**9)), dict(arch=dict(ARCH, num_layers=10**9)),
    dict(arch=dict(ARCH, num_heads=True)), dict(arch=dict(embed_dims=8)),
    dict(arch=dict(ARCH, num_heads=3)), dict(arch=ARCH, patch_size=-16),
    dict(arch=ARCH, patch_size=16, grid=3), dict(arch=ARCH, in_channels=10**6),
    dict(arch=ARCH, drop_path_rate=2), dict(arch=ARCH, out_indices=['0']),
    dict(arch=ARCH, out_indices=[0] * 10**4), dict(arch=ARCH, out_indices=[7]),
    dict(arch=ARCH, frozen_stages=99), dict(arch=ARCH, with_cp='yes')])
def test_backbones_that_are_refused(spec):
    with pytest.raises(ProtocolError):
        build_backbone(spec)


@pytest.mark.parametrize('spec', [
    dict(batch_augments=RUNS), dict(type='os.system'), dict(mean=RUNS), dict(mean=['1', '2']),
    dict(mean=[1, 2, 3], std=[0, 1, 1]), dict(mean=[1, 2, 3]), dict(pad_size_divisor=0),
    dict(pad_size_divisor=10**9), dict(pad_value='x'), dict(bgr_to_rgb=1),
    dict(bgr_to_rgb=True, rgb_to_bgr=True), dict(mean=[1, 2], std=[1, 2])])
def test_preprocessors_that_are_refused(spec):
    with pytest.raises(ProtocolError):
        build_preprocessor(spec)


@pytest.mark.parametrize('build', [build_backbone, build_preprocessor])
def test_numbers_that_no_tensor_holds(build):
    for value in (10**400, float('nan'), float('inf')):
        with pytest.raises(ProtocolError):
            build(dict(mean=[value, 0, 0], std=[1, 1, 1]))
        with pytest.raises(ProtocolError):
            build(dict(pad_value=value))
        with pytest.raises(ProtocolError):
            build(dict(arch=ARCH, drop_path_rate=value))


def test_a_backbone_that_no_machine_holds_takes_no_memory():
    """A few bytes ask for 300 GB."""
    huge = dict(arch=dict(embed_dims=4096, num_layers=128, num_heads=128, mlp_ratio=16))
    with pytest.raises(ProtocolError, match='parameters is more than'):
        build_backbone(huge)


def test_a_backbone_is_built_only_for_weights_that_are_there(monkeypatch):
    """Of a file of a few bytes nothing larger than it is made."""
    large = dict(arch=dict(embed_dims=1024, num_layers=24, num_heads=16))
    made = []
    init = PEViT.__init__
    monkeypatch.setattr(PEViT, '__init__', lambda self, **kwargs: (
        init(self, **kwargs), made.append(next(self.parameters()).is_meta))[0])
    with pytest.raises(ProtocolError, match='does not fit'):
        build_backbone(large, dict(weight=torch.zeros(1)))
    assert made == [True]


def test_weights_are_taken():
    weights = PEViT(arch=ARCH).state_dict()
    found = build_backbone(dict(arch=ARCH), weights).state_dict()
    assert all(torch.equal(found[name], value) for name, value in weights.items())


@pytest.mark.parametrize('meta', [
    None, [], dict(classes='abc'), dict(classes=[1]), dict(classes=RUNS), dict(type='os.system'),
    dict(custom_imports=dict(imports=['os'])), dict(_base_='x.py'), dict(custom_hooks=RUNS)])
def test_dataset_meta_that_is_refused(meta):
    with pytest.raises(ProtocolError):
        check_dataset_meta(meta)
