"""What holds for each augmentation of sealed images: arguments, their repr, cached draws."""
from __future__ import annotations

import copy

import numpy as np
import pytest
from mmcv.transforms.utils import cache_random_params

from tests.datasets.transforms.sample_images import GEOMETRY, P, build, sample_image


@pytest.mark.parametrize('name', [*GEOMETRY, 'RandomAffineColor'])
def test_draws_can_be_cached(name):
    """As MMCV's ``ApplyToMultiple`` and MMDetection's ``ProposalBroadcaster`` do."""
    kwargs = dict(patch_size=P, grid=1) if name in GEOMETRY else {}
    kwargs.update(dict(crop_size=(P, P), allow_negative_crop=True) if 'Crop' in name else {})
    kwargs.update(dict(img_scale=(2 * P, 2 * P)) if 'Mosaic' in name else {})
    step = build(name, **kwargs)
    plain = sample_image(0, mix=3)
    for seed in range(5):
        np.random.seed(seed)
        with cache_random_params(step):
            one, other = step(copy.deepcopy(plain)), step(copy.deepcopy(plain))
        np.testing.assert_array_equal(one['img'], other['img'])


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
        build(name, **kwargs)


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
    step = build(name, **kwargs)
    again = eval(repr(step), {name: type(step)})
    assert vars(again) == vars(step)
