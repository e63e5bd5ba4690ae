"""The two halves of a detector, one after the other, are the whole one."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mmppvit.models.backbones import TokenInput
from mmppvit.two_party.split import BackboneHalf, HeadHalf, read_part, split_detector, write_part
from tests.models.tiny_detectors import (
    assert_same_predictions,
    batch,
    build,
    images,
    keyed,
    metainfo,
    model_config,
    orders,
    run,
    shuffle_patches,
)

META = dict(classes=('cat', 'dog'))


@pytest.fixture(scope='module')
def config():
    """Keyed ATSS, with what must not travel: names of files."""
    cfg = keyed(model_config('ATSS'))
    cfg.backbone.init_cfg = dict(type='Pretrained', checkpoint='/secret/place.pth')
    return cfg


@pytest.fixture(scope='module')
def whole(config):
    return build(config)


@pytest.fixture(scope='module')
def files(config, whole, tmp_path_factory):
    """Files of the backbone half and of the head half."""
    folder = tmp_path_factory.mktemp('halves')
    paths = folder / 'backbone.safetensors', folder / 'head.safetensors'
    parts = split_detector(config, whole.state_dict(), META)
    for path, kind, part in zip(paths, ('backbone', 'head'), parts, strict=True):
        write_part(path, kind, *part)
    return paths


def _predict(files, cfg, imgs, img_orders=None):
    half, head = BackboneHalf.load(files[0]), HeadHalf.load(files[1], cfg)
    metas = [metainfo(*pair) for pair in zip(imgs, img_orders or [None] * len(imgs), strict=True)]
    return head.predict(half(imgs), metas)


def test_halves_equal_the_whole_on_shuffled_images(files, whole, config):
    """A batch of two sizes, and of one."""
    perms = orders()
    shuffled = list(map(shuffle_patches, images(), perms))
    for part in (slice(0, 2), slice(0, 1), slice(1, 2)):
        found = _predict(files, config, shuffled[part], perms[part])
        expected = run(whole, batch(shuffled[part], perms[part]), 'predict')
        assert_same_predictions(found, expected, rtol=1e-5, atol=1e-5)
    head = HeadHalf.load(files[1], config)
    assert isinstance(head.detector.backbone, TokenInput)
    assert head.dataset_meta == dict(classes=['cat', 'dog'])


@pytest.mark.parametrize('name', ['FasterRCNN', 'MaskRCNN', 'DETR'])
def test_halves_of_other_detectors(name, tmp_path):
    """DETR shares modules between layers, and needs the shape of the batch."""
    cfg = model_config(name)
    whole = build(cfg)
    paths = tmp_path / 'a.safetensors', tmp_path / 'b.safetensors'
    parts = split_detector(cfg, whole.state_dict())
    for path, kind, part in zip(paths, ('backbone', 'head'), parts, strict=True):
        write_part(path, kind, *part)
    assert_same_predictions(_predict(paths, cfg, images()),
                            run(whole, batch(images()), 'predict'), rtol=1e-5, atol=1e-5)


def test_maps_are_those_of_the_detector_before_restoring(files, whole):
    perms = orders()
    shuffled = list(map(shuffle_patches, images(), perms))
    maps = BackboneHalf.load(files[0])(shuffled)
    inputs = whole.data_preprocessor(batch(shuffled))['inputs']
    with torch.no_grad():
        expected = type(whole.backbone).forward(whole.backbone, inputs)
    assert [tuple(x.shape) for x in maps] == [(2, 24, 7, 8)]
    torch.testing.assert_close(maps, expected, rtol=0, atol=0)


def test_the_backbone_file_says_nothing_else(files):
    with safe_open(files[0], framework='pt') as file:
        assert list(file.metadata()) == ['mmppvit']
        info = json.loads(file.metadata()['mmppvit'])
        names = set(file.keys())
    assert info.keys() == {'format', 'version', 'backbone', 'preprocessor'}
    assert info['preprocessor'] == dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True,
        pad_size_divisor=8)
    assert info['backbone'].keys() == {'arch', 'patch_size', 'grid'}
    assert all(name.startswith(('patch_embed', 'reference_encoding', 'blocks', 'norm'))
               for name in names)
    head, info = read_part(files[1], 'head')
    assert info.keys() == {'format', 'version', 'dataset_meta'}
    assert not any(name.startswith('backbone') for name in head)
    for path in files:
        assert b'secret' not in path.read_bytes()


def test_all_weights_are_in_one_of_the_files(files, whole):
    found = {f'backbone.{k}': v for k, v in read_part(files[0], 'backbone')[0].items()}
    found.update(read_part(files[1], 'head')[0])
    expected = whole.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_the_head_needs_the_orders_of_a_keyed_detector(files, config):
    with pytest.raises(ValueError, match=r'2 of the 2 images .* carry no patch_order'):
        _predict(files, config, images())


@pytest.mark.parametrize('image', [
    np.zeros((16, 16), np.uint8), np.zeros((16, 16, 3)), torch.zeros(3, 16, 16)])
def test_images_of_another_kind(files, image):
    with pytest.raises(TypeError, match='images must be uint8 arrays'):
        BackboneHalf.load(files[0])([image])


def test_maps_and_metainfos_of_other_images(files, config):
    head, img = HeadHalf.load(files[1], config), images()[0]
    maps, meta = (torch.zeros(1, 24, 4, 8), ), metainfo(img, orders()[0])
    with pytest.raises(ValueError, match=r'2 metainfos for maps of \[1\] images'):
        head.predict(maps, [meta] * 2)
    with pytest.raises(ValueError, match=r"metainfo lacks \['ori_shape', 'scale_factor'\]"):
        head.predict(maps, [dict(img_shape=(32, 64))])
    with pytest.raises(ValueError, match=r'image of \(56, 40\) does not fit maps of \(4, 8\)'):
        head.predict(maps, [dict(meta, img_shape=(56, 40))])
    with pytest.raises(TypeError, match='TokenInput takes a tuple of maps'):
        TokenInput(8)(maps[0])


def test_other_files(files, tmp_path, config):
    with pytest.raises(ValueError, match='mmppvit-head, version 2; expected mmppvit-backbone'):
        BackboneHalf.load(files[1])
    with pytest.raises(ValueError, match=r'of format mmppvit-backbone.*; expected mmppvit-head'):
        HeadHalf.load(files[0], config)
    save_file(dict(x=torch.zeros(1)), tmp_path / 'plain.safetensors')
    with pytest.raises(ValueError, match='of format None'):
        HeadHalf.load(tmp_path / 'plain.safetensors', config)
    (tmp_path / 'torn.safetensors').write_bytes(files[0].read_bytes()[:1000])
    with pytest.raises(ValueError, match=r'not a .safetensors file, or a damaged one'):
        BackboneHalf.load(tmp_path / 'torn.safetensors')
    with pytest.raises(FileNotFoundError, match=r'no backbone file .*none'):
        BackboneHalf.load(tmp_path / 'none')


@pytest.mark.parametrize(('change', 'error', 'message'), [
    (dict(backbone=dict(type='ResNet', depth=18)), TypeError, 'this backbone is a ResNet'),
    (dict(data_preprocessor=None), TypeError, 'data preprocessor is a BaseDataPreprocessor'),
    (dict(neck=dict(type='SimpleFeaturePyramid', in_channels=24, out_channels=8)), ValueError,
     'the checkpoint does not fit this ATSS'),
])
def test_detectors_that_cannot_be_split(whole, change, error, message):
    cfg = dict(model_config('ATSS'), **change)
    with pytest.raises(error, match=message):
        split_detector(cfg, whole.state_dict())


COMMAND = [{'type': 'os.system', 'command': 'touch owned'}]


@pytest.mark.parametrize('change', [
    dict(preprocessor=dict(batch_augments=COMMAND)), dict(preprocessor=dict(type='os.system')),
    dict(backbone=dict(init_cfg=COMMAND[0])), dict(backbone=COMMAND[0]), dict(backbone=None),
    dict(preprocessor=None), dict(backbone=dict(arch=COMMAND[0]))])
def test_a_backbone_file_runs_nothing(files, tmp_path, monkeypatch, change):
    weights, info = read_part(files[0], 'backbone')
    write_part(tmp_path / 'hostile.safetensors', 'backbone', weights, dict(info, **change))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r'preprocessor|backbone|arch'):
        BackboneHalf.load('hostile.safetensors')
    assert not (tmp_path / 'owned').exists()


def test_a_head_file_runs_nothing(files, config, tmp_path, monkeypatch):
    """Version 1 brought the detector's config along."""
    weights, info = read_part(files[1], 'head')
    hostile = dict(info, model=COMMAND[0], version=1)
    write_part(tmp_path / 'hostile.safetensors', 'head', weights, hostile)
    monkeypatch.chdir(tmp_path)
    assert HeadHalf.load('hostile.safetensors', config).detector.backbone.token_stride == 8
    assert not (tmp_path / 'owned').exists()
    for meta in (None, dict(classes=[1]), dict(classes=COMMAND), dict(other=1)):
        write_part(tmp_path / 'meta.safetensors', 'head', weights, dict(dataset_meta=meta))
        with pytest.raises(ValueError, match='dataset_meta'):
            HeadHalf.load('meta.safetensors', config)


def test_weights_of_another_shape(files, config, tmp_path):
    for kind, path in zip(('backbone', 'head'), files, strict=True):
        weights, info = read_part(path, kind)
        name = next(iter(weights))
        write_part(tmp_path / f'{kind}.safetensors', kind, dict(weights, **{
            name: torch.zeros(7)}), info)
    with pytest.raises(ValueError, match=r'does not fit.*of another shape'):
        BackboneHalf.load(tmp_path / 'backbone.safetensors')
    with pytest.raises(ValueError, match=r'does not fit.*of another shape'):
        HeadHalf.load(tmp_path / 'head.safetensors', config)


@pytest.mark.parametrize(('maps', 'text'), [
    ([torch.full((1, 24, 4, 8), float('nan'))], 'not finite'),
    ([torch.full((1, 24, 4, 8), float('inf'))], 'not finite'),
    ([torch.ones(1, 24, 4, 8, dtype=torch.int64)], 'floating maps'),
    ([torch.ones(())], 'floating maps'), ([torch.ones(1, 24, 0, 8)], 'floating maps'),
    ([torch.ones(1, 23, 4, 8)], 'floating maps'), ([], '0 maps of a backbone that has 1'),
    ([torch.ones(1, 24, 4, 8)] * 2, '2 maps')])
def test_tokens_that_no_backbone_makes(files, config, maps, text):
    head, meta = HeadHalf.load(files[1], config), metainfo(images()[0], orders()[0])
    with pytest.raises(ValueError, match=text):
        head.predict(maps, [meta])
