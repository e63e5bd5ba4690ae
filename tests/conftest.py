"""Fixtures of all tests; ``data`` finds the real images."""
from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import hypothesis
import pytest
import torch

import mmppvit.register  # noqa: F401
import tests.quick_configs  # noqa: F401
from mmppvit.attacks.judges.judge_weights import find_weights
from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import SealJob, seal_dataset
from tests.warm_python import run_warm_python

ROOT = Path(__file__).resolve().parents[1]

hypothesis.settings.register_profile('mmppvit', deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile('mmppvit')

if 'PYTEST_XDIST_WORKER' in os.environ:
    torch.set_num_threads(1)  # one worker a core


# Each has a test of half a minute or more: as the last one it would keep one worker while the other
# has nothing left.
LONG = ('tests/two_party/test_kills.py', 'tests/two_party/test_parallel.py',
        'tests/tools/test_train.py', 'tests/test_contributing.py')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_collection_finish() -> None:
    """The tests themselves are no garbage either, see ``tests.quick_configs``."""
    gc.freeze()


def _folder(name: str) -> Path:
    path = Path(os.environ.get('MMPPVIT_DATA', ROOT / 'data')).expanduser() / name
    if path.is_dir():
        return path
    message = f'no real images at {path}: set MMPPVIT_DATA to the folder that has {name}'
    if os.environ.get('MMPPVIT_REQUIRE_DATA'):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope='session')
def find_real_weights() -> Callable[[str], Path]:
    """By name, where the attack commands find them: in ``models`` beside ``MMPPVIT_DATA``."""

    def find(name: str) -> Path:
        try:
            return find_weights(name)
        except FileNotFoundError as error:
            if os.environ.get('MMPPVIT_REQUIRE_DATA'):
                pytest.fail(str(error))
            pytest.skip(str(error))

    return find


@pytest.fixture(scope='session')
def bccd() -> Path:
    """Folder of BCCD: images/, annotations/instances_{train,val,test}.json."""
    return _folder('bccd')


@pytest.fixture(scope='session')
def coco_mini() -> Path:
    """Folder with a few images of COCO in COCO's layout."""
    return _folder('coco_mini')


@pytest.fixture
def configs() -> Path:
    """Folder of the configs."""
    return ROOT / 'configs'


@pytest.fixture
def tools() -> Path:
    """Folder of the command-line tools."""
    return ROOT / 'tools'


@pytest.fixture(scope='session')
def run_python() -> Callable[..., CompletedProcess]:
    """``run_python(SCRIPT, '--option', cwd=...)``: a child that has imported MMDetection."""
    return run_warm_python


@dataclass(frozen=True)
class SealedShapes:
    """Synthetic images and what was made of them: ``root/<scheme>/{train,val}2017``."""
    plain: Path
    root: Path
    key_file: Path
    classes: tuple[str, ...]

    def folder(self, scheme: str, split: str = 'train2017') -> Path:
        return self.root / scheme / split


@pytest.fixture(scope='session')
def sealed_shapes(tmp_path_factory) -> SealedShapes:
    """Small sealed data sets of synthetic images; tests that change files copy them first."""
    folder = tmp_path_factory.mktemp('sealed_shapes')
    plain = write_synthetic_shapes(folder / 'plain', 6, 3, (128, 96))
    key = Key.create(folder / 'owner.key')
    for name in ('mix', 'mix+shuffle', 'mix+center+shuffle'):
        scheme = Scheme(name, center_strength=.75 if 'center' in name else 0.)
        for split in ('train2017', 'val2017'):
            seal_dataset(SealJob(
                plain / split, folder / 'sealed' / name / split, scheme,
                plain / f'annotations/instances_{split}.json',
                key=key if scheme.shuffles else None))
    categories = json.loads(
        (folder / 'sealed/mix/val2017/annotations.json').read_text())['categories']
    return SealedShapes(plain, folder / 'sealed', folder / 'owner.key',
                        tuple(category['name'] for category in categories))
