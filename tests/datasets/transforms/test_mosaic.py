"""Mosaics: the same before and after sealing, and in MMDetection's data set for them."""
from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms.utils import cache_random_params
from mmdet.datasets import MultiImageMixDataset
from mmdet.datasets.transforms import Mosaic
from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset

from tests.datasets.transforms.sample_images import (
    P,
    assert_commutes,
    build,
    painted,
    sample_image,
    seal,
)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=4, max_size=4),
       st.sampled_from([None, 'bitmap', 'polygon']), st.sampled_from([1, 2, 4]),
       st.integers(0, 2**32 - 10), st.sampled_from([(.5, 1.5), (0., 2.)]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_mosaics_commute(shapes, masks, grid, seed, centers, clip):
    plain, *others = [sample_image(seed + i, *shape, masks, boxes=i + 1)
                      for i, shape in enumerate(shapes)]
    plain['mix_results'] = others
    assert_commutes(plain, grid, _mosaic(1, centers, clip), _mosaic(grid, centers, clip), seed)


@functools.cache  # MMDetection logs each one that is built, which takes longer than its work
def _mosaic(grid: int, centers: tuple, clip: bool):
    return build('PatchAlignedMosaic', img_scale=(3 * P // grid, 2 * P // grid), prob=.9,
                 center_ratio_range=centers, bbox_clip_border=clip, patch_size=P, grid=grid)


def test_a_mosaic_forgets_the_homography():
    plain = sample_image(0, mix=3)
    results = build('PatchAlignedMosaic', img_scale=(2 * P, P), patch_size=P, grid=1)(plain)
    assert 'homography_matrix' not in results
    assert results['img_shape'] == (2 * P, 4 * P)


class _SealedSamples(BaseDataset):
    """Sealed images of different sizes, as a pipeline has loaded them."""
    METAINFO = dict(classes=tuple('abcdefghi'))

    def load_data_list(self) -> list[dict]:
        return [seal(painted(i, 'polygon', 2 + i % 2, 3 + i // 2), 2) for i in range(4)]


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


def test_the_draws_of_mmdetections_own_mosaic_can_still_be_cached():
    with cache_random_params(Mosaic()):
        pass
    assert set(Mosaic._methods_with_randomness) == {'get_indexes'}


def test_a_mosaic_of_one_image_is_refused():
    with pytest.raises(ValueError, match='pipeline of a MultiImageMixDataset'):
        build('PatchAlignedMosaic')(sample_image(0))
