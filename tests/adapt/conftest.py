"""Two images with all kinds of annotations, and configs made small."""
from __future__ import annotations

import pytest

from mmppvit.adapt.adaptation import load_stock
from mmppvit.adapt.support_data import shrink, use_images, write_images


@pytest.fixture(scope='session')
def two_images(coco_mini, tmp_path_factory):
    """Folder with two images of COCO-mini."""
    return write_images(coco_mini, tmp_path_factory.mktemp('two_images'))


@pytest.fixture
def small_stock(two_images):
    """A stock config of MMDetection on the two images at a fifth of the size."""
    return lambda name: use_images(shrink(load_stock(f'mmdet::{name}.py')), two_images)
