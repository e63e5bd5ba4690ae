"""Baselines in MMDetection's pipelines, and what commutes with them on sealed images."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import numpy as np
import pytest
import torch
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.registry import DefaultScope

from mmppvit.datasets import SealedCocoDataset, check_commutes
from mmppvit.encryption import BASELINES, BaselineScheme, add_noise, blur, downsample, pixelate
from mmppvit.encryption.schemes.baseline_schemes import _noise_seed
from mmppvit.sealed import SealJob, seal_dataset

STEPS = [('GaussianBlurImage', dict(sigma=1.5)), ('PixelateImage', dict(block=8)),
         ('AddNoiseImage', dict(sigma=9.))]


@pytest.fixture(autouse=True, scope='module')
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def _build(name: str, **kwargs):
    return TRANSFORMS.build(dict(type=name, **kwargs))


def _results(height: int = 50, width: int = 70, dtype: type = np.uint8) -> dict:
    rng = np.random.default_rng(height)
    boxes = torch.tensor([[2., 3, 40, 44], [10, 1, 69, 50]])
    return dict(img=rng.integers(0, 256, (height, width, 3)).astype(dtype), img_id=7,
                img_path='street.jpg', img_shape=(height, width), ori_shape=(height, width),
                gt_bboxes=HorizontalBoxes(boxes), gt_bboxes_labels=np.array([0, 1]))


def _flip(results: dict, direction: str = 'horizontal') -> dict:
    return _build('RandomFlip', prob=1., direction=direction)(results)


@pytest.mark.parametrize(('name', 'options'), STEPS)
@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_pixels_are_those_of_the_function_and_nothing_else_changes(name, options, dtype):
    results = _build(name, **options)(_results(dtype=dtype))
    plain = _results()
    expected = dict(
        GaussianBlurImage=lambda: blur(plain['img'], 1.5),
        PixelateImage=lambda: pixelate(plain['img'], 8),
        AddNoiseImage=lambda: add_noise(plain['img'], 9., _noise_seed(plain['img'], '7')))[name]()
    np.testing.assert_array_equal(results.pop('img'), expected)
    del plain['img']
    torch.testing.assert_close(results.pop('gt_bboxes').tensor, plain.pop('gt_bboxes').tensor)
    np.testing.assert_array_equal(results.pop('gt_bboxes_labels'), plain.pop('gt_bboxes_labels'))
    assert results == plain


@pytest.mark.parametrize('factor', [2, 4])
def test_downsampling_is_mixing_to_geometry(factor):
    ours = _build('DownsampleImage', factor=factor)(_results())
    mixed = _build('MixSubPatches', grid=factor)(_results())
    padded = np.pad(_results()['img'], ((0, 14), (0, 10), (0, 0)))
    np.testing.assert_array_equal(ours.pop('img'), downsample(padded, factor))
    del mixed['img']
    for key in ('homography_matrix', 'gt_bboxes_labels'):
        np.testing.assert_array_equal(ours.pop(key), mixed.pop(key))
    torch.testing.assert_close(ours.pop('gt_bboxes').tensor, mixed.pop('gt_bboxes').tensor)
    assert ours == mixed


@pytest.mark.parametrize(('name', 'options'), [*STEPS[:2], ('DownsampleImage', dict(factor=4))])
@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_flips_commute(name, options, direction):
    step = _build(name, **options)
    before = step(_flip(_results(48, 64), direction))
    after = _flip(step(_results(48, 64)), direction)
    np.testing.assert_array_equal(before['img'], after['img'])
    torch.testing.assert_close(before['gt_bboxes'].tensor, after['gt_bboxes'].tensor)


@pytest.mark.parametrize(('name', 'options'), [('PixelateImage', dict(block=8)),
                                               ('DownsampleImage', dict(factor=4))])
def test_aligned_crops_commute(name, options):
    step, img = _build(name, **options), _results(64, 96)['img']
    whole = step(_results(64, 96))['img']
    factor = options.get('factor', 1)
    part = step(dict(_results(32, 48), img=img[16:48, 32:80]))['img']
    np.testing.assert_array_equal(
        part, whole[16 // factor:48 // factor, 32 // factor:80 // factor])


@pytest.mark.parametrize(('name', 'options'), [STEPS[0], STEPS[1], ('DownsampleImage', {})])
def test_colors_commute_up_to_a_level(name, options):
    def paler(img: np.ndarray) -> np.ndarray:
        return np.rint(img * .7 + 30).astype(np.uint8)

    step = _build(name, **options)
    before = step(dict(_results(48, 64), img=paler(_results(48, 64)['img'])))['img']
    after = paler(step(_results(48, 64))['img'])
    assert np.abs(before.astype(int) - after).max() <= 1


def test_wrong_parameters_are_refused_with_the_unit():
    with pytest.raises(ValueError, match='sigma in pixels'):
        _build('GaussianBlurImage', sigma=0)
    with pytest.raises(ValueError, match='side of a block in pixels'):
        _build('PixelateImage', block=-1)
    with pytest.raises(ValueError, match='sigma in levels'):
        _build('AddNoiseImage', sigma=300)
    with pytest.raises(ValueError, match='grid 3 does not divide the patch size 16'):
        _build('DownsampleImage', factor=3)
    with pytest.raises(TypeError, match=r'street\.jpg: .*8-bit images, got int64'):
        _build('PixelateImage', block=2)(_results(dtype=np.int64))


CROP = ('PatchAlignedRandomCrop', dict(crop_size=(32, 32)))


@pytest.mark.parametrize(('scheme', 'step', 'message'), [
    (('blur', 1, 2.), CROP, 'blurred into what stays'),
    (('blur', 1, 2.), ('RandomAffineColor', {}), None),
    (('blur', 1, 2.), ('RandomFlip', dict(prob=.5)), None),
    (('pixelate', 1, 8.), CROP, None),
    (('pixelate', 1, 32.), CROP, 'do not divide patches of 16'),
    (('pixelate', 1, 32.), ('RandomFlip', dict(prob=.5)), None),
    (('noise', 1, 9.), ('RandomAffineColor', {}), 'change the noise'),
    (('noise', 1, 9.), CROP, None),
    (('downsample', 2, 0.), CROP, None),
    (('downsample', 2, 0.), ('DownsampleImage', {}), 'encrypted already'),
    (('downsample', 2, 0.), ('Resize', dict(scale=(64, 64))), 'rescaling does not commute'),
    (('downsample+shuffle', 2, 0.), CROP, 'put UnshufflePatches before'),
])
def test_what_commutes_with_sealed_baselines(scheme, step, message):
    name, grid, strength = scheme
    scheme = BaselineScheme(name, grid=grid, strength=strength)
    options = dict(patch_size=16, grid=grid) if step[0].startswith('Patch') else {}
    step = _build(step[0], **step[1], **options)
    if message is None:
        check_commutes([step], scheme)
    else:
        with pytest.raises(ValueError, match=message):
            check_commutes([step], scheme)


@pytest.mark.parametrize('name', BASELINES)
def test_sealed_baselines_are_read_like_any_other(sealed_shapes, tmp_path, name):
    """The boxes lie where they lie on the fly, and the image has the size that they count in."""
    from mmppvit.encryption import Key
    scheme = BaselineScheme(name, grid=2 if 'downsample' in name else 1,
                            strength=dict(blur=2, pixelate=8, noise=9).get(name, 0))
    key = Key.load(sealed_shapes.key_file) if scheme.shuffles else None
    seal_dataset(SealJob(sealed_shapes.plain / 'val2017', tmp_path / 'set', scheme,
                         sealed_shapes.plain / 'annotations/instances_val2017.json', key))
    pipeline = [dict(type='LoadImageFromFile'),
                dict(type='ReadSeal', key_file=key and str(sealed_shapes.key_file)),
                dict(type='LoadSealedAnnotations', with_bbox=True), dict(type='PackSealedInputs')]
    dataset = SealedCocoDataset(data_root=str(tmp_path), sealed='set', pipeline=pipeline,
                                metainfo=dict(classes=sealed_shapes.classes))
    sample = dataset[0]
    data = sample['data_samples']
    assert sample['inputs'].shape[1:] == data.img_shape == (96 // scheme.grid, 128 // scheme.grid)
    assert data.scale_factor == (1 / scheme.grid, ) * 2
    boxes = data.gt_instances.bboxes
    plain = np.array([item['bbox'] for item in dataset.get_data_info(0)['instances']])
    np.testing.assert_allclose(boxes.numpy(), plain / scheme.grid, atol=1e-4)
    assert ('patch_order' in data) == scheme.shuffles
