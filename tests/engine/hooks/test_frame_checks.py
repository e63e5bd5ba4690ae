"""What the guard compares before an image is loaded."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmdet.registry import TRANSFORMS
from mmengine.registry import DefaultScope

from mmppvit.engine.hooks.frame_checks import check_steps

MIX = dict(type='MixSubPatches', patch_size=16, grid=2)
MODEL = SimpleNamespace(backbone=SimpleNamespace(
    patch_embed=SimpleNamespace(patch_size=16, grid=2)))


def _dataset(*before: dict, within: tuple = ()) -> SimpleNamespace:
    """Test-time augmentation by flips, after the steps ``before``."""
    flips = [dict(type='RandomFlip', prob=p) for p in (1., 0.)]
    tta = dict(type='TestTimeAug', transforms=[
        flips, *([step] for step in within), [dict(type='PackDetInputs')]])
    with DefaultScope.overwrite_default_scope('mmdet'):
        steps = [TRANSFORMS.build(step) for step in (dict(type='LoadImageFromFile'), *before, tta)]
    return SimpleNamespace(pipeline=SimpleNamespace(transforms=steps))


@pytest.mark.parametrize('dataset', [_dataset(MIX), _dataset(within=(MIX, ))],
                         ids=['before the flips', 'after them'])
def test_images_may_be_encrypted_on_either_side_of_test_time_augmentation(dataset):
    check_steps(dataset, MODEL, 'test_dataloader')


def test_test_time_augmentation_of_plain_images_is_refused():
    with pytest.raises(ValueError, match='no step that mixes'):
        check_steps(_dataset(), MODEL, 'test_dataloader')
