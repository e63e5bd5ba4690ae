"""Fixtures of all tests; ``data`` finds the real pictures."""
from __future__ import annotations

import os
from pathlib import Path

import mmppvit  # noqa: F401, has to come before anything that imports mmcv.ops

import hypothesis
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]

hypothesis.settings.register_profile('mmppvit', deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile('mmppvit')

if 'PYTEST_XDIST_WORKER' in os.environ:
    torch.set_num_threads(1)  # one worker a core


def _folder(name: str) -> Path:
    path = Path(os.environ.get('MMPPVIT_DATA', ROOT / 'data')).expanduser() / name
    if path.is_dir():
        return path
    message = f'no real pictures at {path}: set MMPPVIT_DATA to the folder that has {name}'
    if os.environ.get('MMPPVIT_REQUIRE_DATA'):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope='session')
def bccd() -> Path:
    """Folder of BCCD: images/, annotations/instances_{train,val,test}.json."""
    return _folder('bccd')


@pytest.fixture(scope='session')
def coco_mini() -> Path:
    """Folder with a few pictures of COCO in COCO's layout."""
    return _folder('coco_mini')


@pytest.fixture
def configs() -> Path:
    """Folder of the configs."""
    return ROOT / 'configs'


@pytest.fixture
def tools() -> Path:
    """Folder of the command-line tools."""
    return ROOT / 'tools'
