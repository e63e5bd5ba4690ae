"""Titles say what a pipeline does to an image, whichever step does it."""
from __future__ import annotations

import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmengine.dataset import Compose

from mmppvit.visualization.browsing import run_pipeline, single_datasets

IMG = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


class _OneImage:
    """A data set of an array."""

    def __init__(self, *steps: dict) -> None:
        self.pipeline = Compose([TRANSFORMS.build(step) for step in steps])

    def get_data_info(self, index: int) -> dict:
        return dict(img=IMG, img_path='a.png', img_id=1, img_shape=IMG.shape[:2])


@pytest.mark.parametrize('step', [
    dict(type='GaussianBlurImage', sigma=2.), dict(type='PixelateImage', block=4),
    dict(type='AddNoiseImage', sigma=9.), dict(type='DownsampleImage'),
    dict(type='MixSubPatches'), dict(type='CenterPatches'),
    dict(type='ShufflePatches', fresh=True)], ids=lambda step: step['type'])
def test_no_encrypted_image_is_called_plain(step):
    stages = run_pipeline(_OneImage(step), 0)
    assert stages[0][0] == 'plain'
    np.testing.assert_array_equal(stages[0][1]['img'], IMG)
    assert stages[1][0] == step['type']
    assert not np.array_equal(stages[1][1]['img'], IMG)


def test_wrappers_that_combine_images_are_refused():
    class Mosaics:
        dataset, pipeline = _OneImage(), ['mosaic']

    with pytest.raises(ValueError, match='Mosaics combines several images'):
        single_datasets(Mosaics())
