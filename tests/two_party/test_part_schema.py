"""Backbones from the other party are data: nothing outside of an allow-list is built."""
from __future__ import annotations

import pytest
from mmdet.models import DetDataPreprocessor

from mmppvit.models.backbones import PEViT
from mmppvit.two_party.messages import ProtocolError
from mmppvit.two_party.part_schema import build_backbone, build_preprocessor

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
