"""``MixSubPatches`` in MMDetection's pipelines."""
from __future__ import annotations

import copy

import mmppvit.register  # noqa: F401

# isort: split
import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import Resize
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmppvit.datasets import MixSubPatches
from mmppvit.encryption import mix_sub_patches, pad_to_patches

BOXES = np.array([[3, 5, 40, 60], [0, 0, 96, 64], [90, 2, 95.5, 63.25]], np.float32)


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def _image(height: int = 64, width: int = 96, channels: tuple = (3, )) -> np.ndarray:
    rng = np.random.default_rng(height * width)
    return rng.integers(0, 256, (height, width, *channels), dtype=np.uint8)


def _results(height: int = 64, width: int = 96, **kwargs) -> dict:
    results = dict(
        img=_image(height, width),
        img_path='street.jpg',
        img_id=7,
        img_shape=(height, width),
        ori_shape=(height, width),
        gt_bboxes=HorizontalBoxes(torch.from_numpy(BOXES.copy())),
        gt_bboxes_labels=np.array([0, 1, 2]),
        gt_ignore_flags=np.array([False, False, True]))
    results.update(kwargs)
    return results


def _polygons(height: int, width: int) -> PolygonMasks:
    shapes = [[np.array([0., 0., 40., 0., 40., 30., 0., 30.])],
              [np.array([50., 4., 80., 4., 65., 60.]), np.array([1., 50., 9., 50., 9., 60.])],
              [np.array([90., 2., 95.5, 2., 95.5, 63.25])]]
    return PolygonMasks(shapes, height, width)


def _bitmaps(height: int, width: int) -> BitmapMasks:
    rng = np.random.default_rng(1)
    return BitmapMasks(rng.integers(0, 2, (3, height, width), dtype=np.uint8), height, width)


def _mask_array(masks) -> np.ndarray | list:
    if isinstance(masks, BitmapMasks):
        return masks.masks
    return [np.concatenate(parts) for parts in masks.masks]


def _build(**kwargs) -> MixSubPatches:
    return TRANSFORMS.build(dict(type='MixSubPatches', **kwargs))


@pytest.mark.parametrize(('patch', 'grid'), [(16, 1), (16, 2), (16, 4), (16, 16), (32, 4), (8, 8)])
@pytest.mark.parametrize('masks', [_bitmaps, _polygons])
def test_geometry_is_that_of_resize(patch, grid, masks):
    """All keys but the pixels, on an image of whole patches, are those of MMDetection's Resize."""
    start = dict(gt_masks=masks(64, 96), gt_seg_map=_image(channels=()))
    ours = _build(patch_size=patch, grid=grid)(_results(**copy.deepcopy(start)))
    theirs = Resize(scale_factor=1 / grid)(_results(**start))
    assert ours['img_shape'] == theirs['img_shape'] == ours['img'].shape[:2]
    assert ours['scale_factor'] == theirs['scale_factor'] == (1 / grid, 1 / grid)
    assert ours['ori_shape'] == theirs['ori_shape'] == (64, 96)
    torch.testing.assert_close(ours['gt_bboxes'].tensor, theirs['gt_bboxes'].tensor,
                               rtol=0, atol=0)
    assert type(ours['gt_bboxes']) is type(theirs['gt_bboxes']) is HorizontalBoxes
    assert type(ours['gt_masks']) is type(theirs['gt_masks'])
    assert (ours['gt_masks'].height, ours['gt_masks'].width) == ours['img_shape']
    for pair in zip(_mask_array(ours['gt_masks']), _mask_array(theirs['gt_masks']), strict=True):
        np.testing.assert_array_equal(*pair)
    np.testing.assert_array_equal(ours['gt_seg_map'], theirs['gt_seg_map'])
    np.testing.assert_array_equal(ours['homography_matrix'], theirs['homography_matrix'])
    assert ours['homography_matrix'].dtype == np.float32


def test_pixels_are_those_of_the_function():
    results = _build(patch_size=16, grid=4)(_results())
    np.testing.assert_array_equal(results['img'], mix_sub_patches(_image(), 16, 4))


def test_what_is_not_geometry_stays():
    results = _build()(_results())
    np.testing.assert_array_equal(results['gt_bboxes_labels'], [0, 1, 2])
    np.testing.assert_array_equal(results['gt_ignore_flags'], [False, False, True])
    assert results['img_path'] == 'street.jpg'
    assert results['img_id'] == 7


def test_boxes_may_be_a_plain_array():
    results = _build(grid=4)(_results(gt_bboxes=BOXES.copy()))
    assert isinstance(results['gt_bboxes'], np.ndarray)
    np.testing.assert_array_equal(results['gt_bboxes'], BOXES / 4)


@pytest.mark.parametrize('masks', [BitmapMasks(np.zeros((0, 50, 70), np.uint8), 50, 70),
                                   PolygonMasks([], 50, 70)], ids=['bitmap', 'polygon'])
def test_an_image_without_objects(masks):
    results = _build()(_results(50, 70, gt_masks=masks, gt_bboxes=HorizontalBoxes(
        torch.zeros(0, 4))))
    assert len(results['gt_bboxes']) == len(results['gt_masks']) == 0
    assert (results['gt_masks'].height, results['gt_masks'].width) == (32, 40)


def test_an_image_without_annotations():
    results = _build()(dict(img=_image()))
    assert set(results) == {'img', 'img_shape', 'scale_factor', 'homography_matrix'}
    assert results['scale_factor'] == (.5, .5)


@pytest.mark.parametrize(('height', 'width'), [(50, 70), (49, 80), (64, 81), (17, 16)])
def test_odd_sizes_are_padded_right_and_bottom(height, width):
    bitmaps, seg = _bitmaps(height, width), _image(height, width, ())
    results = _build(patch_size=16, grid=2, pad_val=dict(img=114, seg=9))(
        _results(height, width, gt_masks=bitmaps, gt_seg_map=seg))
    full = (-(-height // 16) * 16, -(-width // 16) * 16)
    assert results['img_shape'] == (full[0] // 2, full[1] // 2)
    padded = np.full((*full, 3), 114, np.uint8)
    padded[:height, :width] = _image(height, width)
    np.testing.assert_array_equal(results['img'], mix_sub_patches(padded, 16, 2))
    np.testing.assert_array_equal(results['gt_bboxes'].numpy(), BOXES / 2)
    # Nearest neighbors at half the size: the pixels of even rows and columns.
    padded = np.zeros((3, *full), np.uint8)
    padded[:, :height, :width] = bitmaps.masks
    np.testing.assert_array_equal(results['gt_masks'].masks, padded[:, ::2, ::2])
    padded = np.full(full, 9, np.uint8)
    padded[:height, :width] = seg
    np.testing.assert_array_equal(results['gt_seg_map'], padded[::2, ::2])


def test_padding_does_not_stretch_polygons():
    results = _build(patch_size=32, grid=4)(_results(50, 70, gt_masks=_polygons(50, 70)))
    assert results['img_shape'] == (16, 24)
    mixed, plain = _mask_array(results['gt_masks']), _mask_array(_polygons(50, 70))
    for one, other in zip(mixed, plain, strict=True):
        np.testing.assert_array_equal(one, other / 4)


@pytest.mark.parametrize('flip', [False, True])
def test_scale_factor_and_homography_compose(flip):
    """plain frame -> Resize (and flip) -> mix: boxes follow the recorded matrix all the way."""
    steps = [Resize(scale=(200, 100), keep_ratio=False)]
    if flip:
        steps.append(TRANSFORMS.build(dict(type='RandomFlip', prob=1.)))
    results = Compose([*steps, _build(grid=4)])(_results())
    assert results['img_shape'] == (112 / 4, 208 / 4)
    np.testing.assert_allclose(results['scale_factor'], (200 / 96 / 4, 100 / 64 / 4), rtol=1e-12)
    corners = np.stack([BOXES[:, :2], BOXES[:, 2:]]).reshape(-1, 2)
    moved = np.c_[corners, np.ones(len(corners))] @ results['homography_matrix'].T
    first, last = moved[:, :2].reshape(2, -1, 2)
    expected = np.c_[np.minimum(first, last), np.maximum(first, last)]
    np.testing.assert_allclose(results['gt_bboxes'].numpy(), expected, atol=1e-4)


def test_a_predicted_box_comes_back_to_the_plain_frame():
    """The heads divide by ``scale_factor``; that must undo the resize and the mixing."""
    results = Compose([
        Resize(scale=(192, 128), keep_ratio=True), _build(patch_size=16, grid=2),
        dict(type='PackDetInputs', meta_keys=('scale_factor', 'img_shape', 'ori_shape'))
    ])(_results())
    sample = results['data_samples']
    assert sample.scale_factor == (1., 1.)
    assert sample.ori_shape == (64, 96)
    boxes = sample.gt_instances.bboxes.tensor
    scale = boxes.new_tensor(sample.scale_factor).repeat(2)
    np.testing.assert_allclose((boxes / scale).numpy(), BOXES[:2], atol=1e-5)


def test_flip_commutes_in_the_pipeline():
    flip = dict(type='RandomFlip', prob=1., direction='horizontal')
    start = _results(gt_masks=_bitmaps(64, 96))
    before = Compose([flip, _build()])(copy.deepcopy(start))
    after = Compose([_build(), flip])(start)
    np.testing.assert_array_equal(before['img'], after['img'])
    torch.testing.assert_close(before['gt_bboxes'].tensor, after['gt_bboxes'].tensor)


@pytest.mark.parametrize('channels', [(), (1, ), (4, ), (7, )])
def test_any_number_of_channels(channels):
    img = _image(50, 70, channels)
    results = _build()(_results(50, 70, img=img))
    np.testing.assert_array_equal(results['img'], mix_sub_patches(pad_to_patches(img, 16), 16, 2))
    assert results['img'].shape == (32, 40, *channels)


@pytest.mark.parametrize('seed', range(5))
def test_images_of_photo_metric_distortion(seed):
    np.random.seed(seed)
    distorted = TRANSFORMS.build(dict(type='PhotoMetricDistortion'))(_results())
    img = distorted['img'].copy()
    assert img.dtype == np.float32
    results = _build()(distorted)
    assert results['img'].dtype == np.uint8
    saved = np.clip(np.rint(img), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(results['img'], mix_sub_patches(saved, 16, 2))


@pytest.mark.parametrize(('value', 'expected'), [(-3., 0), (254.6, 255), (300., 255), (7.4, 7)])
def test_floats_are_rounded_and_clipped(value, expected):
    results = _build(grid=1)(dict(img=np.full((16, 16, 3), value, np.float32)))
    assert (results['img'] == expected).all()


def test_proposals_follow_the_boxes():
    proposals = np.array([[8, 8, 24, 40], [0, 0, 96, 64]], np.float32)
    results = TRANSFORMS.build(
        dict(type='ProposalBroadcaster', transforms=[
            dict(type='Resize', scale_factor=2.), dict(type='MixSubPatches', grid=4)]))(
                _results(proposals=HorizontalBoxes(proposals)))
    np.testing.assert_array_equal(results['proposals'].numpy(), proposals / 2)
    np.testing.assert_array_equal(results['gt_bboxes'].numpy(), BOXES / 2)
    assert results['scale_factor'] == (.5, .5)


def test_from_a_file_to_packed_inputs(tmp_path):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), _image(50, 70))
    packed = Compose([
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='MixSubPatches', patch_size=16, grid=2),
        dict(type='PackDetInputs'),
    ])(dict(img_path=str(path), img_id=1, height=50, width=70, instances=[dict(
        bbox=[10, 20, 30, 40], bbox_label=1, ignore_flag=0,
        mask=[[10, 20, 30, 20, 30, 40, 10, 40]])]))
    assert packed['inputs'].shape == (3, 32, 40)
    assert packed['inputs'].dtype == torch.uint8
    np.testing.assert_array_equal(packed['inputs'].numpy().transpose(1, 2, 0), mix_sub_patches(
        pad_to_patches(_image(50, 70), 16), 16, 2))
    sample = packed['data_samples']
    assert sample.img_shape == (32, 40)
    assert sample.scale_factor == (.5, .5)
    assert sample.gt_instances.bboxes.tensor.tolist() == [[5, 10, 15, 20]]
    assert sample.gt_instances.masks.masks[0, 10:20, 5:15].all()
    assert sample.gt_instances.masks.masks.sum() == 100


def test_too_small_an_image_is_named_with_the_remedy():
    with pytest.raises(ValueError, match=r'street\.jpg: image of height 15 and width 96 .*'
                       'resize it first or choose a smaller patch_size'):
        _build()(_results(img=_image(15, 96)))


def test_16_bits_are_refused_by_name():
    with pytest.raises(TypeError, match=r"street\.jpg: .* got uint16; .*color_type"):
        _build()(_results(img=_image().astype(np.uint16)))


@pytest.mark.parametrize('grid', [0, 3, 32, 2.])
def test_an_impossible_grid_is_refused_when_built(grid):
    with pytest.raises(ValueError, match=r'grid'):
        _build(patch_size=16, grid=grid)


def test_repr_can_be_read_back():
    transform = _build(patch_size=32, grid=4, pad_val=dict(img=1, seg=2))
    assert vars(eval(repr(transform))) == vars(transform)


@pytest.mark.parametrize('scale', [
    lambda img: img / np.float32(255), lambda img: (img - np.float32(120)) / 58,
    lambda img: np.full_like(img, np.nan, np.float32)], ids=['shares', 'normalized', 'nan'])
@pytest.mark.parametrize('kind', [
    dict(type='MixSubPatches'), dict(type='GaussianBlurImage', sigma=2.),
    dict(type='PixelateImage', block=4), dict(type='AddNoiseImage', sigma=9.),
    dict(type='DownsampleImage')], ids=lambda kind: kind['type'])
def test_floats_that_are_no_levels_are_refused_everywhere(kind, scale):
    """They would be rounded to a black image."""
    img = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    step = TRANSFORMS.build(kind)
    with pytest.raises(ValueError, match=r'street\.jpg: .*levels from 0 to 255, got float32'):
        step(dict(img=scale(img).astype(np.float32), img_path='street.jpg'))


@pytest.mark.parametrize('level', [0, 1, 5.5])
def test_dark_images_of_floats_are_mixed(level):
    img = np.full((32, 48, 3), level, np.float32)
    img[:16] += 1
    step = TRANSFORMS.build(dict(type='MixSubPatches'))
    assert step(dict(img=img))['img'].max() == np.rint(level + 1)
