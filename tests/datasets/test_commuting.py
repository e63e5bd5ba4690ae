"""Augmentations of sealed images: the same result before and after sealing."""
from __future__ import annotations

import copy
import functools

import mmppvit  # noqa: F401, must come before mmdet and timm

# isort: split
from mmppvit.encryption import mix_sub_patches

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms.utils import cache_random_params
from mmdet.datasets import MultiImageMixDataset
from mmdet.datasets.transforms import Mosaic, RandomCrop
from mmdet.registry import DATASETS, TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope

P = 8
GEOMETRY = ['RandomRotate90', 'PatchAlignedRandomCrop', 'PatchAlignedRandomShift',
            'PatchAlignedMosaic']


@pytest.fixture(autouse=True, scope='module')
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def _build(name: str, **kwargs):
    return TRANSFORMS.build(dict(type=name, **kwargs))


def _polygons(boxes: np.ndarray, shape: tuple) -> PolygonMasks:
    """Of every box the outline in one part, and its upper left triangle in another."""
    parts = [[np.array([x1, y1, x2, y1, x2, y2, x1, y2]), np.array([x1, y1, x2, y1, x1, y2])]
             for x1, y1, x2, y2 in boxes.astype(np.float64)]
    return PolygonMasks(parts, *shape)


def _sample(seed: int, rows: int = 3, cols: int = 4, masks: str | None = None, boxes: int = 4,
            cell: int = 1, mix: int = 0) -> dict:
    """A plain image of whole patches; masks and segments are constant on ``cell`` x ``cell``."""
    rng = np.random.default_rng(seed)
    shape = height, width = rows * P, cols * P
    left = rng.integers(0, [width - 1, height - 1], (boxes, 2))
    right = rng.integers(left + 1, [width + 1, height + 1], (boxes, 2))
    # Halves are drawn as well, as boxes in files are no whole numbers; they stay exact.
    corners = np.c_[left, right].astype(np.float32)
    corners[::2, :2] += .5
    cells = (rows * P // cell, cols * P // cell)
    results = dict(
        img=rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
        img_path=f'street_{seed}.jpg',
        img_shape=shape,
        ori_shape=shape,
        scale_factor=(1.5, .5),
        homography_matrix=np.diag([1.5, .5, 1]).astype(np.float32),
        gt_bboxes=HorizontalBoxes(torch.from_numpy(corners)),
        gt_bboxes_labels=rng.integers(0, 9, boxes),
        gt_ignore_flags=rng.integers(0, 2, boxes).astype(bool),
        gt_seg_map=rng.integers(0, 9, cells, dtype=np.uint8).repeat(cell, 0).repeat(cell, 1))
    if masks == 'bitmap':
        bits = rng.integers(0, 2, (boxes, *cells), dtype=np.uint8)
        results['gt_masks'] = BitmapMasks(bits.repeat(cell, 1).repeat(cell, 2), *shape)
    elif masks == 'polygon':
        results['gt_masks'] = _polygons(corners, shape)
    if mix:
        results['mix_results'] = [_sample(i, masks=masks) for i in range(mix)]
    return results


def _seal(results: dict, grid: int) -> dict:
    sealed = _build('MixSubPatches', patch_size=P, grid=grid)(copy.deepcopy(results))
    if 'mix_results' in sealed:
        sealed['mix_results'] = [_seal(other, grid) for other in sealed['mix_results']]
    return sealed


def _assert_same_annotations(one: dict, other: dict) -> None:
    assert set(one) == set(other)
    for key in ('img_shape', 'ori_shape', 'scale_factor', 'flip', 'flip_direction'):
        assert one.get(key) == other.get(key), key
    for key in ('gt_bboxes_labels', 'gt_ignore_flags', 'gt_seg_map', 'homography_matrix'):
        np.testing.assert_array_equal(one.get(key), other.get(key), err_msg=key)
    np.testing.assert_array_equal(one['gt_bboxes'].numpy(), other['gt_bboxes'].numpy())
    if 'gt_masks' not in one:
        return
    assert (one['gt_masks'].height, one['gt_masks'].width) == one['img_shape']
    assert (other['gt_masks'].height, other['gt_masks'].width) == one['img_shape']
    for first, second in zip(one['gt_masks'].masks, other['gt_masks'].masks, strict=True):
        for part, other_part in zip(first, second, strict=True):
            np.testing.assert_array_equal(part, other_part)


def _assert_commutes(plain: dict, grid: int, step, sealed_step, seed: int) -> None:
    """Exactly, with the same random numbers on both sides."""
    np.random.seed(seed)
    before = step(copy.deepcopy(plain))
    np.random.seed(seed)
    after = sealed_step(_seal(plain, grid))
    assert (before is None) == (after is None)
    if before is None:
        return
    sealed = _seal(before, grid)
    if 'homography_matrix' not in before:
        del sealed['homography_matrix']
    before = sealed
    np.testing.assert_array_equal(before['img'], after['img'])
    assert after['img'].dtype == np.uint8
    assert after['img'].shape[:2] == after['img_shape']
    assert not any(size % (P // grid) for size in after['img_shape'])
    _assert_same_annotations(before, after)


@st.composite
def samples(draw, cell: bool = False):
    """(plain results, grid, seed of the random draws)."""
    grid = draw(st.sampled_from([1, 2, 4]))
    seed = draw(st.integers(0, 2**32 - 1))
    plain = _sample(seed, draw(st.integers(1, 4)), draw(st.integers(1, 4)),
                    draw(st.sampled_from([None, 'bitmap', 'polygon'])),
                    draw(st.sampled_from([0, 1, 4])), grid if cell else 1)
    return plain, grid, seed


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
@given(sample=samples(cell=True))
@settings(deadline=None, max_examples=30)
def test_flips_of_mmdetection_commute(direction, sample):
    plain, grid, seed = sample
    flip = _build('RandomFlip', prob=.8, direction=direction)
    _assert_commutes(plain, grid, flip, flip, seed)


@given(samples(cell=True), st.sampled_from([.7, 1., [.2, .3, .5]]))
@settings(deadline=None, max_examples=60)
def test_turns_commute(sample, prob):
    plain, grid, seed = sample
    steps = [_build('RandomRotate90', prob=prob, patch_size=P, grid=g) for g in (1, grid)]
    _assert_commutes(plain, grid, *steps, seed)


@given(samples(), st.sampled_from([('absolute', (2, 1)), ('absolute', (3, 9)),
                                   ('absolute_range', (1, 3)), ('relative', (.6, .3)),
                                   ('relative_range', (.1, .4))]), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_crops_commute(sample, crop, negative, clip):
    plain, grid, seed = sample
    kind, size = crop
    unit = P if kind.startswith('absolute') else 1
    steps = [_build('PatchAlignedRandomCrop', patch_size=P, grid=g, crop_type=kind,
                    crop_size=tuple(s * unit // g if unit > 1 else s for s in size),
                    allow_negative_crop=negative, bbox_clip_border=clip) for g in (1, grid)]
    _assert_commutes(plain, grid, *steps, seed)


@given(samples(), st.integers(0, 5), st.sampled_from([0, 4]))
@settings(deadline=None, max_examples=60)
def test_shifts_commute(sample, most, threshold):
    plain, grid, seed = sample
    steps = [_build('PatchAlignedRandomShift', prob=.9, max_shift=most, patch_size=P, grid=g,
                    filter_thr_px=threshold // g, pad_val=77) for g in (1, grid)]
    _assert_commutes(plain, grid, *steps, seed)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=4, max_size=4),
       st.sampled_from([None, 'bitmap', 'polygon']), st.sampled_from([1, 2, 4]),
       st.integers(0, 2**32 - 10), st.sampled_from([(.5, 1.5), (0., 2.)]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_mosaics_commute(shapes, masks, grid, seed, centers, clip):
    plain, *others = [_sample(seed + i, *shape, masks, boxes=i + 1)
                      for i, shape in enumerate(shapes)]
    plain['mix_results'] = others
    _assert_commutes(plain, grid, _mosaic(1, centers, clip), _mosaic(grid, centers, clip), seed)


@functools.cache  # MMDetection logs each one that is built, which takes longer than its work
def _mosaic(grid: int, centers: tuple, clip: bool):
    return _build('PatchAlignedMosaic', img_scale=(3 * P // grid, 2 * P // grid), prob=.9,
                  center_ratio_range=centers, bbox_clip_border=clip, patch_size=P, grid=grid)


def test_bitmaps_under_turns_are_less_than_a_pixel_off():
    """The limit of what is claimed above: sealing keeps the first of ``grid`` x ``grid`` pixels."""
    plain = _sample(0, masks='bitmap')
    plain['gt_masks'].masks[:] = 0
    plain['gt_masks'].masks[:, 5:14, 3:12] = 1
    before = _seal(_build('RandomRotate90', prob=1., turns=2, grid=1, patch_size=P)(
        copy.deepcopy(plain)), 2)['gt_masks'].masks[0]
    after = _build('RandomRotate90', prob=1., turns=2, grid=2, patch_size=P)(
        _seal(plain, 2))['gt_masks'].masks[0]
    assert not np.array_equal(before, after)
    edges = [np.argwhere(masks).min(0).tolist() + np.argwhere(masks).max(0).tolist()
             for masks in (before, after)]
    assert np.abs(np.subtract(*edges)).max() == 1


# Geometry against what is painted, since two wrongs could commute.


def _painted(seed: int, masks: str, rows: int = 4, cols: int = 5) -> dict:
    """Rectangles apart from each other, each in a grey of its own, above 100; the rest is 0."""
    rng = np.random.default_rng(seed)
    img = np.zeros((rows * P, cols * P, 3), np.uint8)
    boxes, greys = [], []
    for i, j in np.ndindex(rows, cols):
        x, y = j * P + rng.integers(0, 4), i * P + rng.integers(0, 4)
        boxes.append([x, y, x + rng.integers(2, 5), y + rng.integers(2, 5)])
        greys.append(101 + len(greys) + 30 * (seed % 4))
        img[y:boxes[-1][3], x:boxes[-1][2]] = greys[-1]
    boxes = np.array(boxes, np.float32)
    results = dict(img=img, img_shape=img.shape[:2], gt_bboxes=HorizontalBoxes(boxes),
                   gt_bboxes_labels=np.array(greys), gt_ignore_flags=np.array(greys) % 2 == 0,
                   gt_seg_map=img[..., 0].copy(), gt_masks=_polygons(boxes, img.shape[:2]),
                   scale_factor=(2., 3.))
    if masks == 'bitmap':
        results['gt_masks'] = BitmapMasks(
            (img[None, ..., 0] == np.array(greys)[:, None, None]).astype(np.uint8),
            *img.shape[:2])
    return results


def _assert_as_painted(results: dict) -> None:
    grey = results['img'][..., 0]
    bitmaps = results['gt_masks'].to_ndarray()
    assert len(results['gt_bboxes']) == len(results['gt_bboxes_labels']) == len(bitmaps)
    assert results['img_shape'] == grey.shape == results['gt_seg_map'].shape
    labels = results['gt_bboxes_labels'].tolist()
    assert sorted(labels) == np.unique(grey[grey > 100]).tolist()  # what shows, and nothing else
    np.testing.assert_array_equal(results['gt_ignore_flags'], np.array(labels, int) % 2 == 0)
    inside = results['gt_seg_map'] != 255
    np.testing.assert_array_equal(results['gt_seg_map'][inside], grey[inside])
    assert (grey[~inside] == 7).all()
    for box, label, mask in zip(results['gt_bboxes'].numpy(), labels, bitmaps, strict=True):
        place = np.argwhere(grey == label)
        assert box.tolist() == [*place.min(0)[::-1], *(place.max(0) + 1)[::-1]]
        np.testing.assert_array_equal(mask, grey == label)


@pytest.mark.parametrize('masks', ['bitmap', 'polygon'])
@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize(('name', 'kwargs'), [
    ('RandomRotate90', {}),
    ('PatchAlignedRandomCrop', dict(crop_size=(2 * P, 3 * P))),
    ('PatchAlignedRandomCrop', dict(crop_size=(3 * P, 3 * P), recompute_bbox=True)),
    ('PatchAlignedRandomShift', dict(prob=1., pad_val=7, max_shift=3, filter_thr_px=0)),
    ('PatchAlignedMosaic', dict(img_scale=(4 * P, 3 * P), pad_val=7)),
])
def test_annotations_lie_where_the_objects_are(name, kwargs, seed, masks):
    results = _painted(0, masks)
    results['mix_results'] = [_painted(i, masks, *shape)
                              for i, shape in ((1, (2, 3)), (2, (1, 1)), (3, (5, 2)))]
    np.random.seed(seed)
    _assert_as_painted(_build(name, patch_size=P, grid=1, **kwargs)(results))


@pytest.mark.parametrize('turns', [1, 2, 3])
def test_turns_are_those_of_numpy(turns):
    plain = _sample(1, rows=2, cols=5)
    boxes = plain['gt_bboxes'].numpy().copy()
    results = _build('RandomRotate90', prob=1., turns=turns, patch_size=P, grid=1)(
        copy.deepcopy(plain))
    np.testing.assert_array_equal(results['img'], np.rot90(plain['img'], turns))
    assert results['img'].flags.c_contiguous
    assert results['scale_factor'] == ((.5, 1.5) if turns % 2 else (1.5, .5))
    # The recorded matrix leads from the frame of before the first step to that of the boxes.
    corners = np.stack([boxes[:, :2], boxes[:, 2:]]).reshape(-1, 2) / [1.5, .5]
    moved = np.c_[corners, np.ones(len(corners))] @ results['homography_matrix'].T
    first, last = moved[:, :2].reshape(2, -1, 2)
    np.testing.assert_allclose(results['gt_bboxes'].numpy(), np.c_[
        np.minimum(first, last), np.maximum(first, last)], atol=1e-4)


def test_turns_are_chosen_as_often_as_asked():
    step = _build('RandomRotate90', prob=[.5, .25], turns=[1, 3])
    np.random.seed(0)
    drawn = [step._choose_turns() for _ in range(2000)]
    np.testing.assert_allclose([drawn.count(k) / 2000 for k in range(4)], [.25, .5, 0, .25],
                               atol=.04)


@pytest.mark.parametrize('prob', [0., [0., 0., 0.]])
def test_without_a_turn_nothing_changes(prob):
    plain = _sample(2, masks='bitmap')
    results = _build('RandomRotate90', prob=prob, patch_size=P)(copy.deepcopy(plain))
    np.testing.assert_array_equal(results['img'], plain['img'])
    _assert_same_annotations(results, plain)


def test_crops_without_boxes_are_none_unless_allowed():
    plain = _sample(3, boxes=1)
    plain['gt_bboxes'] = HorizontalBoxes(torch.tensor([[0., 0., 4., 4.]]))
    results = {}
    for allowed in (False, True):
        step = _build('PatchAlignedRandomCrop', crop_size=(P, P), allow_negative_crop=allowed,
                      patch_size=P, grid=1)
        np.random.seed(0)
        results[allowed] = [step(copy.deepcopy(plain)) for _ in range(20)]
    assert any(one is None for one in results[False])
    assert [one is None for one in results[False]] == [
        len(one['gt_bboxes']) == 0 for one in results[True]]


def test_crops_are_those_of_mmdetection_with_patches_of_one_pixel():
    for seed in range(10):
        ends = []
        for kind in (RandomCrop, TRANSFORMS.get('PatchAlignedRandomCrop')):
            aligned = {} if kind is RandomCrop else dict(patch_size=1, grid=1)
            np.random.seed(seed)
            ends.append(kind((.3, .5), 'relative_range', allow_negative_crop=True, **aligned)(
                _sample(seed, masks='bitmap')))
        np.testing.assert_array_equal(ends[0]['img'], ends[1]['img'])
        _assert_same_annotations(*ends)


def test_a_crop_rounds_down_to_whole_patches():
    step = _build('PatchAlignedRandomCrop', crop_size=(2 * P + 3, 99), patch_size=P, grid=1,
                  allow_negative_crop=True)
    assert step(_sample(0))['img_shape'] == (3 * P, 2 * P)


def test_a_shift_that_would_lose_every_box_is_left_out():
    step = _build('PatchAlignedRandomShift', prob=1., max_shift=3, patch_size=P, grid=1)
    plain = _sample(0, rows=1, boxes=1)
    plain['gt_bboxes'] = HorizontalBoxes(torch.tensor([[0., 0., 4., 4.]]))
    np.random.seed(0)
    shifted = [step(copy.deepcopy(plain)) for _ in range(20)]
    assert all(len(one['gt_bboxes']) == 1 for one in shifted)
    same = [np.array_equal(one['img'], plain['img']) for one in shifted]
    assert 0 < sum(same) < 20
    for one, unchanged in zip(shifted, same, strict=True):
        if unchanged:
            _assert_same_annotations(one, plain)


@pytest.mark.parametrize('name', GEOMETRY[:3])
def test_an_image_without_annotations_may_come(name):
    kwargs = dict(crop_size=(P, P)) if 'Crop' in name else dict(prob=1.)
    results = _build(name, patch_size=P, grid=1, **kwargs)(dict(img=_sample(0)['img']))
    assert set(results) - {'img_shape', 'homography_matrix'} == {'img'}


@pytest.mark.parametrize('name', ['PatchAlignedRandomShift', 'RandomRotate90'])
def test_boxes_may_be_a_plain_array(name):
    results = [_sample(4), _sample(4)]
    results[1]['gt_bboxes'] = results[1]['gt_bboxes'].numpy()
    ends = []
    for one in results:
        np.random.seed(1)
        ends.append(_build(name, prob=1., patch_size=P, grid=1)(one))
    assert isinstance(ends[1]['gt_bboxes'], np.ndarray)
    np.testing.assert_array_equal(ends[0]['gt_bboxes'].numpy(), ends[1]['gt_bboxes'])


@pytest.mark.parametrize('name', [*GEOMETRY, 'RandomAffineColor'])
def test_draws_can_be_cached(name):
    """As MMCV's ``ApplyToMultiple`` and MMDetection's ``ProposalBroadcaster`` do."""
    kwargs = dict(patch_size=P, grid=1) if name in GEOMETRY else {}
    kwargs.update(dict(crop_size=(P, P), allow_negative_crop=True) if 'Crop' in name else {})
    kwargs.update(dict(img_scale=(2 * P, 2 * P)) if 'Mosaic' in name else {})
    step = _build(name, **kwargs)
    plain = _sample(0, mix=3)
    for seed in range(5):
        np.random.seed(seed)
        with cache_random_params(step):
            one, other = step(copy.deepcopy(plain)), step(copy.deepcopy(plain))
        np.testing.assert_array_equal(one['img'], other['img'])


def test_the_draws_of_mmdetections_own_mosaic_can_still_be_cached():
    with cache_random_params(Mosaic()):
        pass
    assert set(Mosaic._methods_with_randomness) == {'get_indexes'}


def test_a_mosaic_forgets_the_homography():
    plain = _sample(0, mix=3)
    results = _build('PatchAlignedMosaic', img_scale=(2 * P, P), patch_size=P, grid=1)(plain)
    assert 'homography_matrix' not in results
    assert results['img_shape'] == (2 * P, 4 * P)


class _SealedSamples(BaseDataset):
    """Sealed images of different sizes, as a pipeline has loaded them."""
    METAINFO = dict(classes=tuple('abcdefghi'))

    def load_data_list(self) -> list[dict]:
        return [_seal(_painted(i, 'polygon', 2 + i % 2, 3 + i // 2), 2) for i in range(4)]


def test_mosaics_in_a_multi_image_mix_dataset():
    name = 'PatchAlignedMosaic'
    DATASETS.register_module(module=_SealedSamples, force=True)
    dataset = MultiImageMixDataset(
        dataset=dict(type='_SealedSamples', serialize_data=False),
        pipeline=[dict(type=name, img_scale=(3 * P // 2, 2 * P // 2), patch_size=P, grid=2),
                  dict(type='RandomRotate90', patch_size=P, grid=2),
                  dict(type='PackDetInputs')])
    np.random.seed(0)
    packed = [dataset[i] for i in range(len(dataset))]
    for one in packed:
        assert one['inputs'].dtype == torch.uint8
        assert sorted(one['inputs'].shape[1:]) == [2 * P, 3 * P]
        found = one['data_samples'].gt_instances
        ignored = one['data_samples'].ignored_instances
        assert len(found.bboxes) == len(found.labels) == len(found.masks) > 0
        assert not (found.labels % 2 == 0).any()
        assert (ignored.labels % 2 == 0).all()
        assert found.masks.to_ndarray().shape[1:] == one['data_samples'].img_shape
    assert len({tuple(one['data_samples'].gt_instances.labels.tolist()) for one in packed}) == 4


# Colour.


def _center(mixed: np.ndarray, side: int, strength: float) -> np.ndarray:
    """The definition, patch by patch and channel by channel."""
    out = mixed.copy()
    for i, j, c in np.ndindex(mixed.shape[0] // side, mixed.shape[1] // side, mixed.shape[2]):
        place = np.s_[i * side:(i + 1) * side, j * side:(j + 1) * side, c]
        shift = np.rint(strength * (128 - mixed[place].astype(float).mean()))
        out[place] = np.clip(mixed[place] + shift, 0, 255)
    return out


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4]), st.sampled_from([0., .25, .5, 1.]),
       st.booleans(), st.sampled_from([(.7, .99), (.8, 1.2), (1., 1.)]))
@settings(deadline=None, max_examples=80)
def test_colours_commute_up_to_rounding(seed, grid, strength, per_channel, gains):
    # Far enough from 0 and 255, on both sides, that nothing is clipped.
    img = np.random.default_rng(seed).integers(92, 164, (2 * P, 3 * P, 3), dtype=np.uint8)
    steps = [_build('RandomAffineColor', gain=gains, per_channel=per_channel, prob=1.,
                    center_strength=s) for s in (0., strength)]

    def seal(plain: np.ndarray) -> np.ndarray:
        return _center(mix_sub_patches(plain, P, grid), P // grid, strength)

    np.random.seed(seed)
    before = seal(steps[0](dict(img=img))['img'])
    np.random.seed(seed)
    after = steps[1](dict(img=seal(img)))['img']
    assert before.dtype == after.dtype == np.uint8
    off = np.abs(before.astype(int) - after)
    # The mean that centering takes is one more thing to be rounded.
    assert off.max() <= (2 if strength else 1)


@pytest.mark.parametrize('strength', [.25, 1.])
def test_two_levels_off_are_rare(strength):
    img = np.random.default_rng(0).integers(92, 164, (12 * P, 12 * P, 8), dtype=np.uint8)
    ends = []
    for order in (0, 1):
        np.random.seed(0)
        step = _build('RandomAffineColor', prob=1., center_strength=order * strength)
        if order == 0:
            mixed = mix_sub_patches(step(dict(img=img))['img'], P, 2)
            ends.append(_center(mixed, P // 2, strength))
        else:
            mixed = _center(mix_sub_patches(img, P, 2), P // 2, strength)
            ends.append(step(dict(img=mixed))['img'])
    off = np.abs(ends[0].astype(int) - ends[1])
    assert (off == 2).mean() < .02
    assert (off > 2).sum() == 0


@pytest.mark.parametrize('strength', [0., .5, 1.])
def test_colours_commute_exactly_where_nothing_is_rounded(strength):
    half = np.random.default_rng(0).integers(-10, 11, (2 * P, 3 * P // 2, 3)) * 2
    img = (80 + np.stack([half, -half], 2).reshape(2 * P, 3 * P, 3)).astype(np.uint8)
    kwargs = dict(gain=(1.5, 1.5), bias=(8, 8), prob=1.)
    plain = _build('RandomAffineColor', **kwargs)(dict(img=img))['img']
    np.testing.assert_array_equal(plain, 1.5 * img + 8)
    sealed = _build('RandomAffineColor', center_strength=strength, **kwargs)(
        dict(img=_center(img, P, strength)))['img']
    np.testing.assert_array_equal(sealed, _center(plain, P, strength))


def _normalize(img: np.ndarray, strength: float) -> np.ndarray:
    """One contrast for all patches, whose means stay as far as ``strength`` leaves them."""
    patches = img.reshape(img.shape[0] // P, P, img.shape[1] // P, P, -1).astype(float)
    mean = patches.mean((1, 3), keepdims=True)
    rms = np.sqrt(np.square(patches - mean).mean((1, 3, 4), keepdims=True))
    out = (patches - mean) * 40 / (rms + 8) + 128 + (1 - strength) * (mean - 128)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8).reshape(img.shape)


@pytest.mark.parametrize('strength', [0., .5, 1.])
def test_of_normalized_images_only_brightness_commutes(strength):
    img = np.random.default_rng(0).integers(108, 148, (2 * P, 3 * P, 3), dtype=np.uint8)
    off = {}
    for gain in (1, .6):
        before, after = (_build('RandomAffineColor', gain=(gain, gain), prob=1.,
                                center_strength=s) for s in (0., strength))
        np.random.seed(0)
        plain = _normalize(before(dict(img=img))['img'], strength)
        np.random.seed(0)
        sealed = after(dict(img=_normalize(img, strength)))['img']
        off[gain] = np.abs(plain.astype(int) - sealed).max()
    assert off[1] <= 1
    assert off[.6] > 5


def test_brightness_does_nothing_to_fully_centered_images():
    img = _sample(0)['img']
    step = _build('RandomAffineColor', gain=(1, 1), prob=1., center_strength=1.)
    np.testing.assert_array_equal(step(dict(img=img))['img'], img)


@pytest.mark.parametrize('channels', [(), (1, ), (3, ), (4, ), (7, )])
@pytest.mark.parametrize('per_channel', [False, True])
def test_colours_of_any_number_of_channels(channels, per_channel):
    img = np.random.default_rng(0).integers(0, 256, (16, 24, *channels), dtype=np.uint8)
    view = img.swapaxes(0, 1)[::-1]
    step = _build('RandomAffineColor', per_channel=per_channel, prob=1., bias=(-60, 60))
    np.random.seed(0)
    changed = step(dict(img=view, patch_order=np.arange(6)))['img']
    np.random.seed(0)
    gain, bias = step._random_color(channels[0] if channels else 1)
    if not channels:
        gain, bias = gain[0], bias[0]
    assert len(set(np.ravel(gain))) == (np.size(gain) if per_channel else 1)
    np.testing.assert_array_equal(changed, np.clip(np.rint(view * gain + bias), 0, 255))
    assert changed.dtype == np.uint8
    assert changed.shape == view.shape


def test_without_a_colour_change_nothing_changes():
    img = _sample(0)['img']
    step = _build('RandomAffineColor', prob=0.)
    assert step(dict(img=img))['img'] is img


# What is refused.

STEPS = [('RandomRotate90', {}), ('PatchAlignedRandomCrop', dict(crop_size=(16, 16))),
         ('PatchAlignedRandomShift', {}), ('PatchAlignedMosaic', dict(img_scale=(16, 16)))]


@pytest.mark.parametrize(('name', 'kwargs', 'culprit'), [
    *((*step, 'first') for step in STEPS), (*STEPS[-1], 'other')])
def test_shuffled_patches_are_refused_with_the_remedy(name, kwargs, culprit):
    results = _sample(0, mix=3)
    target = results if culprit == 'first' else results['mix_results'][1]
    target.update(patch_order=np.arange(12), img_path='shuffled.png')
    step = _build(name, patch_size=P, grid=1, **kwargs)
    with pytest.raises(ValueError, match=rf'shuffled\.png: .*put UnshufflePatches before {name} '
                       'and ShufflePatches after'):
        step(results)


@pytest.mark.parametrize(('name', 'kwargs'), STEPS)
def test_broken_patches_are_refused_with_the_remedy(name, kwargs):
    results = _sample(5, mix=3)
    results['img'] = results['img'][:, :-3]
    with pytest.raises(ValueError, match=r'street_5\.jpg: image of height 24 and width 29 is not '
                       r'whole patches of side 4 \(patch_size 8, grid 2\); give .* sealed with'):
        _build(name, patch_size=P, grid=2, **kwargs)(results)


@pytest.mark.parametrize('dtype', [np.float32, np.uint16])
def test_colours_of_other_types_are_refused(dtype):
    with pytest.raises(TypeError, match=rf'a\.png: .* got {np.dtype(dtype)}; .*8-bit'):
        _build('RandomAffineColor')(dict(img=np.zeros((8, 8, 3), dtype), img_path='a.png'))


def test_a_mosaic_of_one_image_is_refused():
    with pytest.raises(ValueError, match='pipeline of a MultiImageMixDataset'):
        _build('PatchAlignedMosaic')(_sample(0))


@pytest.mark.parametrize(('name', 'kwargs', 'message'), [
    ('RandomRotate90', dict(turns=(1, 4)), r'out of 1, 2 and 3; got \(1, 4\)'),
    ('RandomRotate90', dict(turns=()), 'turns are quarter turns'),
    ('RandomRotate90', dict(prob=[.5, .5]), r'one for each of the turns \(1, 2, 3\)'),
    ('RandomRotate90', dict(prob=1.5), 'sum of at most 1; got 1.5'),
    ('RandomRotate90', dict(prob=[-.1, .5, .2]), 'prob must be'),
    ('RandomRotate90', dict(grid=3), 'grid 3 does not divide'),
    ('PatchAlignedRandomCrop', dict(crop_size=(64, 7)), 'smaller than a patch, .* at least 8'),
    ('PatchAlignedRandomCrop', dict(crop_size=(8, 8), crop_type='half'), 'Invalid crop_type'),
    ('PatchAlignedRandomShift', dict(max_shift=.5), 'number of patches, 0 or more; got 0.5'),
    ('PatchAlignedRandomShift', dict(prob=2), r'prob must be in \[0, 1\], got 2'),
    ('PatchAlignedMosaic', dict(img_scale=(64, 60)), r'\(64, 60\) is not whole patches of side 8'),
    ('PatchAlignedMosaic', dict(center_ratio_range=(1, 3)), r'within \[0, 2\], got \(1, 3\)'),
    ('RandomAffineColor', dict(gain=(0, 1)), r'gain must be .* above 0, got \(0, 1\)'),
    ('RandomAffineColor', dict(bias=(3, -3)), r'bias must be a range'),
    ('RandomAffineColor', dict(center_strength=1.1), r'center_strength must be in \[0, 1\]'),
])
def test_impossible_arguments_are_refused_when_built(name, kwargs, message):
    with pytest.raises(ValueError, match=message):
        _build(name, **kwargs)


@pytest.mark.parametrize(('name', 'kwargs'), [
    ('RandomRotate90', dict(prob=[.25, .5], turns=(1, 3), patch_size=32, grid=4)),
    ('RandomRotate90', dict(turns=2)),
    ('PatchAlignedRandomCrop', dict(crop_size=(70, 99), allow_negative_crop=True, patch_size=32)),
    ('PatchAlignedRandomCrop', dict(crop_size=(.3, .5), crop_type='relative_range', grid=4)),
    ('PatchAlignedRandomShift', dict(max_shift=5, pad_val=dict(img=3, seg=9), filter_thr_px=2)),
    ('PatchAlignedMosaic', dict(img_scale=(64, 96), pad_val=9, prob=.5, center_ratio_range=(1, 1))),
    ('RandomAffineColor', dict(gain=[.5, 2], per_channel=False, center_strength=.25)),
])
def test_repr_can_be_read_back(name, kwargs):
    step = _build(name, **kwargs)
    again = eval(repr(step), {name: type(step)})
    assert vars(again) == vars(step)
