"""Every geometric step: annotations follow the image, and what cannot be moved is refused."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.datasets.transforms.sample_images import (
    GEOMETRY,
    P,
    assert_as_painted,
    assert_commutes,
    build,
    painted,
    sample_image,
    samples,
)

STEPS = [('RandomRotate90', {}), ('PatchAlignedRandomCrop', dict(crop_size=(16, 16))),
         ('PatchAlignedRandomShift', {}), ('PatchAlignedMosaic', dict(img_scale=(16, 16)))]


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
@given(sample=samples(cell=True))
@settings(deadline=None, max_examples=30)
def test_flips_of_mmdetection_commute(direction, sample):
    plain, grid, seed = sample
    flip = build('RandomFlip', prob=.8, direction=direction)
    assert_commutes(plain, grid, flip, flip, seed)


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
    """Seen in what is painted, since two wrongs could commute."""
    results = painted(0, masks)
    results['mix_results'] = [painted(i, masks, *shape)
                              for i, shape in ((1, (2, 3)), (2, (1, 1)), (3, (5, 2)))]
    np.random.seed(seed)
    assert_as_painted(build(name, patch_size=P, grid=1, **kwargs)(results))


@pytest.mark.parametrize('name', GEOMETRY[:3])
def test_an_image_without_annotations_may_come(name):
    kwargs = dict(crop_size=(P, P)) if 'Crop' in name else dict(prob=1.)
    results = build(name, patch_size=P, grid=1, **kwargs)(dict(img=sample_image(0)['img']))
    assert set(results) - {'img_shape', 'homography_matrix'} == {'img'}


@pytest.mark.parametrize('name', ['PatchAlignedRandomShift', 'RandomRotate90'])
def test_boxes_may_be_a_plain_array(name):
    results = [sample_image(4), sample_image(4)]
    results[1]['gt_bboxes'] = results[1]['gt_bboxes'].numpy()
    ends = []
    for one in results:
        np.random.seed(1)
        ends.append(build(name, prob=1., patch_size=P, grid=1)(one))
    assert isinstance(ends[1]['gt_bboxes'], np.ndarray)
    np.testing.assert_array_equal(ends[0]['gt_bboxes'].numpy(), ends[1]['gt_bboxes'])


@pytest.mark.parametrize(('name', 'kwargs', 'culprit'), [
    *((*step, 'first') for step in STEPS), (*STEPS[-1], 'other')])
def test_shuffled_patches_are_refused_with_the_remedy(name, kwargs, culprit):
    results = sample_image(0, mix=3)
    target = results if culprit == 'first' else results['mix_results'][1]
    target.update(patch_order=np.arange(12), img_path='shuffled.png')
    step = build(name, patch_size=P, grid=1, **kwargs)
    with pytest.raises(ValueError, match=rf'shuffled\.png: .*put UnshufflePatches before {name} '
                       'and ShufflePatches after'):
        step(results)


@pytest.mark.parametrize(('name', 'kwargs'), STEPS)
def test_broken_patches_are_refused_with_the_remedy(name, kwargs):
    results = sample_image(5, mix=3)
    results['img'] = results['img'][:, :-3]
    with pytest.raises(ValueError, match=r'street_5\.jpg: image of height 24 and width 29 is not '
                       r'whole patches of side 4 \(patch_size 8, grid 2\); give .* sealed with'):
        build(name, patch_size=P, grid=2, **kwargs)(results)
