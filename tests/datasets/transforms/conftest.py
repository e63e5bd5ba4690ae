"""The steps are built as MMDetection builds them, in its scope."""
from __future__ import annotations

import pytest
from mmengine.registry import DefaultScope

# Where these assert, pytest says what was compared, as in tests.
pytest.register_assert_rewrite('tests.datasets.transforms.sample_images')


@pytest.fixture(autouse=True, scope='module')
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield
